import { isHost, isHostPort } from '../kernel/host-port.ts';

/** How one option's text becomes a value. `parse` throws an `ExpectationError` that says what was expected. */
export interface OptionType<T> {
  /** Shown in --help and in the documentation, e.g. `integer 1..65535`. */
  readonly label: string;
  parse(text: string): T;
}

export interface Option<T> {
  /** Environment variable; the flag is the same name in kebab case. */
  readonly env: string;
  readonly type: OptionType<T>;
  /** As a user would write it; absent where the option may stay unset. */
  readonly default?: string;
  /** In place of `default` in help and documentation, where the value is derived from others. */
  readonly defaultNote?: string;
  readonly help: string;
  /** Never printed or logged. */
  readonly secret?: true;
}

export class ExpectationError extends Error {}

export function text(pattern: RegExp, label: string): OptionType<string> {
  return {
    label,
    parse: (value) => {
      if (!pattern.test(value)) throw new ExpectationError(label);
      return value;
    },
  };
}

export const filePath: OptionType<string> = text(/^.+$/s, 'path of a readable file');

export function integer(min: number, max: number): OptionType<number> {
  const label = `integer ${min}..${max}`;
  return {
    label,
    parse: (value) => {
      const number = Number(value);
      if (!/^\d+$/.test(value) || number < min || number > max) throw new ExpectationError(label);
      return number;
    },
  };
}

export const boolean: OptionType<boolean> = {
  label: 'true or false',
  parse: (value) => {
    if (value === 'true') return true;
    if (value === 'false') return false;
    throw new ExpectationError('true or false');
  },
};

export function oneOf<const T extends string>(...choices: readonly T[]): OptionType<T> {
  const label = choices.join(', ').replace(/, ([^,]*)$/, ' or $1');
  return {
    label,
    parse: (value) => {
      const choice = choices.find((candidate) => candidate === value);
      if (choice === undefined) throw new ExpectationError(label);
      return choice;
    },
  };
}

export const host: OptionType<string> = {
  label: 'host name or IP address',
  parse: (value) => {
    if (!isHost(value)) throw new ExpectationError('host name or IP address');
    return value;
  },
};

/** `host:port,host:port`; an IPv6 address stands in brackets. */
export const hostPortList: OptionType<readonly string[]> = {
  label: 'host:port, several separated by commas',
  parse: (value) => {
    const entries = value.split(',').map((entry) => entry.trim());
    if (!entries.every(isHostPort)) throw new ExpectationError('host:port, several separated by commas');
    return entries;
  },
};

/** Where ZooKeeper is: servers, and the path that takes the place of its root (`/a/b`; empty for none). */
export interface ZookeeperConnect {
  readonly hosts: readonly string[];
  readonly chroot: string;
}

/** As ZooKeeper's own clients write it: `host:port,host:port/chroot`. */
export const zookeeperConnect: OptionType<ZookeeperConnect> = {
  label: 'host:port, several separated by commas, with an optional /chroot at the end',
  parse: (value) => {
    const slashAt = value.indexOf('/');
    const [hosts, chroot] = slashAt < 0 ? [value, ''] : [value.slice(0, slashAt), value.slice(slashAt)];
    if (!/^((\/(?!\.{1,2}(\/|$))[\w.-]+)*|\/)$/.test(chroot)) throw new ExpectationError(zookeeperConnect.label);
    try {
      return { hosts: hostPortList.parse(hosts), chroot: chroot === '/' ? '' : chroot };
    } catch {
      throw new ExpectationError(zookeeperConnect.label);
    }
  },
};

/** How clients speak on a listener, by Kafka's names (`security.protocol`). */
export const securityProtocols = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const;
export type SecurityProtocol = (typeof securityProtocols)[number];

export interface ListenerAddress {
  readonly protocol: SecurityProtocol;
  readonly host: string;
  readonly port: number;
}

/** `PLAINTEXT://host:port`, several separated by commas, as in Kafka's `listeners`. Port 0 means any that is free. */
export const listenerList: OptionType<readonly ListenerAddress[]> = {
  label:
    'PROTOCOL://host:port, several separated by commas; PROTOCOL is one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL',
  parse: (value) =>
    value.split(',').map((entry) => {
      const [, name, host = '', port = ''] = /^([A-Z_]+):\/\/(.+):(\d{1,5})$/.exec(entry.trim()) ?? [];
      const protocol = securityProtocols.find((each) => each === name);
      const bare = host.replace(/^\[(.*)\]$/, '$1');
      if (protocol === undefined || !isHost(bare) || Number(port) > 65535)
        throw new ExpectationError(listenerList.label);
      return { protocol, host: bare, port: Number(port) };
    }),
};

export interface Advertised {
  readonly host: string;
  /** undefined: the port that is listened on. */
  readonly port: number | undefined;
}

/** `host` or `host:port`, one for each listener. */
export const advertisedList: OptionType<readonly Advertised[]> = {
  label: 'host or host:port for each listener, separated by commas',
  parse: (value) =>
    value.split(',').map((text) => {
      const entry = text.trim();
      if (isHost(entry)) return { host: entry, port: undefined };
      if (!isHostPort(entry)) throw new ExpectationError(advertisedList.label);
      const colon = entry.lastIndexOf(':');
      return { host: entry.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(entry.slice(colon + 1)) };
    }),
};
