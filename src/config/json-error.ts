// Finds the position at which a text is no longer valid JSON. The engines' own messages differ, and some of them quote the text, which may
// contain secrets.

export interface JsonError {
  /** From 1. */
  line: number;
  column: number;
  /** What is wrong at this position, without a quote from the text. */
  text: string;
}

/** Call this only after JSON.parse has failed. undefined: the text is valid JSON. Does not recurse, so it accepts any depth of nesting. */
export function findJsonError(text: string): JsonError | undefined {
  const found = new Scanner(text).scan();
  if (found === undefined) return undefined;
  const lines = text.slice(0, found.at).split("\n");
  return { line: lines.length, column: (lines.at(-1) ?? "").length + 1, text: found.what };
}

interface Problem {
  at: number;
  what: string;
}

type Expected = "value" | "value or ]" | "key" | "key or }" | "colon" | "comma";

const noComments = "JSON does not allow comments";

class Scanner {
  #at = 0;
  readonly #text: string;
  /** The brackets that have not been closed yet. */
  readonly #open: ("{" | "[")[] = [];

  constructor(text: string) {
    this.#text = text;
  }

  scan(): Problem | undefined {
    if (this.#text.startsWith("\ufeff"))
      return this.#problem("it begins with a byte order mark: save it as UTF-8 without one");
    let expected: Expected = "value";
    for (;;) {
      this.#skipSpace();
      if (expected === "comma" && this.#open.length === 0) {
        return this.#at === this.#text.length
          ? undefined
          : this.#problem("there is more text after the end of the configuration");
      }
      if (this.#at === this.#text.length) return this.#problem(this.#endedIn());
      const next: Expected | Problem = this.#step(expected, this.#text[this.#at]!);
      if (typeof next !== "string") return next;
      expected = next;
    }
  }

  #problem(what: string): Problem {
    return { at: this.#at, what };
  }

  #endedIn(): string {
    const inner = this.#open.at(-1);
    if (inner === undefined) return "it is empty";
    return `it ends inside ${inner === "{" ? "an object; a } is" : "a list; a ] is"} missing`;
  }

  #step(expected: Expected, char: string): Expected | Problem {
    switch (expected) {
      case "key":
      case "key or }":
        if (char === "}" && expected === "key or }") return this.#close();
        if (char === "}") return this.#problem("there is a trailing comma before }");
        if (char === "/") return this.#problem(noComments);
        return char === '"' ? (this.#string() ?? "colon") : this.#problem("a key in double quotes is missing");
      case "colon":
        if (char !== ":") return this.#problem("the colon after the key is missing");
        this.#at++;
        return "value";
      case "comma":
        if (char === (this.#open.at(-1) === "{" ? "}" : "]")) return this.#close();
        if (char !== ",") return this.#problem("a comma or a bracket is missing");
        this.#at++;
        return this.#open.at(-1) === "{" ? "key" : "value";
      default:
        if (char === "]" && expected === "value or ]") return this.#close();
        return this.#value(char);
    }
  }

  #close(): Expected {
    this.#open.pop();
    this.#at++;
    return "comma";
  }

  #value(char: string): Expected | Problem {
    if (char === "{" || char === "[") {
      this.#open.push(char);
      this.#at++;
      return char === "{" ? "key or }" : "value or ]";
    }
    if (char === '"') return this.#string() ?? "comma";
    if (char === "]" || char === "}") return this.#problem("a value is missing (or there is an extra comma)");
    if (char === "'") return this.#problem("strings need double quotes");
    if (char === "/") return this.#problem(noComments);
    return this.#word() ?? "comma";
  }

  #skipSpace(): void {
    while (this.#at < this.#text.length && " \t\n\r".includes(this.#text[this.#at]!)) this.#at++;
  }

  #string(): Problem | undefined {
    for (let at = this.#at + 1; at < this.#text.length; at++) {
      const unit = this.#text.charCodeAt(at);
      if (unit === 0x22) {
        this.#at = at + 1;
        return undefined;
      }
      if (unit < 0x20) return { at, what: "there is a control character in a string (a quote might be missing)" };
      if (unit !== 0x5c) continue;
      const length = escapeLength(this.#text, at);
      if (length === 0) return { at, what: "this is not a JSON escape sequence" };
      at += length - 1;
    }
    return this.#problem("the string that begins here has no closing quote");
  }

  #word(): Problem | undefined {
    let end = this.#at;
    while (end < this.#text.length && !" \t\n\r,:]}[{\"'".includes(this.#text[end]!)) end++;
    const word = this.#text.slice(this.#at, end);
    if (!isValue(word)) {
      return this.#problem(
        "this is not a JSON value: only true, false, null and numbers are written without double quotes",
      );
    }
    this.#at = end;
    return undefined;
  }
}

/** The length of the escape sequence at `at`, or 0 if it is not valid. */
function escapeLength(text: string, at: number): number {
  const char = text[at + 1] ?? "";
  if (char === "u") {
    const digits = text.slice(at + 2, at + 6);
    return digits.length === 4 && [...digits].every((digit) => "0123456789abcdefABCDEF".includes(digit)) ? 6 : 0;
  }
  return char !== "" && '"\\/bfnrt'.includes(char) ? 2 : 0;
}

/** True if a word without brackets and quotes is true, false, null or a number. */
function isValue(word: string): boolean {
  try {
    JSON.parse(word);
    return true;
  } catch {
    return false;
  }
}
