/** Server-sent events as the HTML standard parses them: text comes in any pieces, frames go out whole. */
export interface Frame {
  /** "message" unless the frame names another. */
  event: string;
  data: string;
  /** Position to resume from, of this frame or the last one that had one. */
  id: string;
}

/** A parser of one stream; `feed` returns the frames that its piece completes. Frames without data are returned, too. */
export class SseParser {
  #rest = "";
  #event = "";
  #data: string[] = [];
  #id = "";
  #nextId: string | null = null; // of a frame that is not whole yet
  #isNew = false;

  /** The id of the last whole frame that had one. */
  get id(): string {
    return this.#id;
  }

  feed(piece: string): Frame[] {
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    const found: Frame[] = [];
    for (const line of lines) {
      if (line !== "") {
        this.#take(line);
        continue;
      }
      this.#id = this.#nextId ?? this.#id;
      if (this.#isNew) found.push({ event: this.#event || "message", data: this.#data.join("\n"), id: this.#id });
      this.#event = "";
      this.#data = [];
      this.#nextId = null;
      this.#isNew = false;
    }
    return found;
  }

  #take(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
    else if (name === "id") this.#nextId = value;
    else return;
    this.#isNew = true;
  }
}
