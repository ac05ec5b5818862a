import { isHost, isHostPort } from '../kernel/host-port.ts';

/** How one option's text becomes a value. `parse` throws an `ExpectationError` that says what was expected. */
export interface OptionType<T> {
  /** Shown in --help and in the documentation, e.g. `integer 1..65535`. */
  readonly label: string;
  parse(text: string): T;
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
