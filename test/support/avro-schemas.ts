import avsc from 'avsc';

/** An `.avdl` file as Avro's JSON. */
export function protocolText(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    avsc.assembleProtocol(path, (error, protocol) => {
      if (error) reject(error);
      else resolve(`${JSON.stringify(protocol, null, 2)}\n`);
    });
  });
}
