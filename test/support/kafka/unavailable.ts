/** This machine lacks something that a real Kafka needs: a reason to skip suites, unlike a Kafka that fails to start. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
}
