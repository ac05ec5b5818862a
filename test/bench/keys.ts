/** Keys of 15 bytes, a different one for each number. */
export function keyAt(index: number): string {
  return `key-${String(index).padStart(11, '0')}`;
}
