/** Positions in the log, as answers write them in `as_of`: the next offset of each partition. */
export type Offsets = ReadonlyMap<number, number>;

/** Read "0:12,1:7". What is not a position is left out. */
export function parseOffsets(text: string | null | undefined): Offsets {
  const found = new Map<number, number>();
  for (const part of (text ?? "").split(",")) {
    const match = /^(\d+):(\d+)$/.exec(part.trim());
    if (match) found.set(Number(match[1]), Number(match[2]));
  }
  return found;
}

/** Write positions as `min_offsets` and `since` expect them; "" for none. */
export function writeOffsets(offsets: Offsets): string {
  return [...offsets].sort(([one], [other]) => one - other).map(([partition, offset]) => `${partition}:${offset}`).join(",");
}

/** The later of both in each partition. */
export function latest(one: Offsets, other: Offsets): Offsets {
  const found = new Map(one);
  for (const [partition, offset] of other) found.set(partition, Math.max(offset, found.get(partition) ?? 0));
  return found;
}

/** Whether everything below `wanted` is in an answer of `now`. */
export function covers(now: Offsets, wanted: Offsets): boolean {
  return [...wanted].every(([partition, offset]) => (now.get(partition) ?? 0) >= offset);
}
