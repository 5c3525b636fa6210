// What must hold whatever comes in. Each function returns what is wrong, or "".

export interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

/** But for the ends of lines. */
const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029]/;

const INTERNAL = "internal error";

/** The fuzzer writes the words that are looked for into its input, and podnic quotes them. */
export function isQuoted(verdict: string, input: Uint8Array): boolean {
  if (!verdict.startsWith(INTERNAL)) return false;
  const word = [..."internal"].map((letter) => letter.charCodeAt(0));
  for (let at = input.indexOf(word[0]!); at >= 0; at = input.indexOf(word[0]!, at + 1)) {
    if (word.every((letter, i) => input[at + i] === letter)) return true;
  }
  return false;
}

function spoken({ stdout, stderr }: Outcome): string {
  if (CONTROL.test(stderr)) return `a control character on stderr: ${JSON.stringify(stderr)}`;
  if (CONTROL.test(stdout)) return `a control character on stdout: ${JSON.stringify(stdout)}`;
  if (`${stdout}${stderr}`.includes(INTERNAL)) return `${INTERNAL}: ${stdout}${stderr}`;
  return "";
}

function document(text: string): { [key: string]: unknown } | string {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as { [key: string]: unknown }) : "no object";
  } catch (error) {
    return String(error);
  }
}

function error(text: string): string {
  const said = document(text);
  if (typeof said === "string") return `an error that is not one JSON document (${said}): ${JSON.stringify(text)}`;
  const { cniVersion, code, msg, details, ...more } = said;
  const isWhole =
    typeof cniVersion === "string" &&
    typeof code === "number" &&
    code > 0 &&
    typeof msg === "string" &&
    msg !== "" &&
    typeof details === "string" &&
    Object.keys(more).length === 0;
  return isWhole ? "" : `an error document of another shape: ${text}`;
}

/** A plugin's call. */
export function judgePlugin(command: string, outcome: Outcome): string {
  const { status, stdout } = outcome;
  const heard = spoken(outcome);
  if (heard !== "") return heard;
  // No CNI_COMMAND: a person asked what it is.
  if (command === "") return "";
  if (status !== 0) return error(stdout);
  if (command !== "ADD" && command !== "VERSION")
    return stdout === "" ? "" : `${command} that succeeds prints ${stdout}`;
  const said = document(stdout);
  if (typeof said === "string") return `a result that is not one JSON document (${said}): ${JSON.stringify(stdout)}`;
  return typeof said.cniVersion === "string" ? "" : `a result without its version: ${stdout}`;
}

/** A command of an operator. */
export function judgeOperator(json: boolean, outcome: Outcome): string {
  const { status, stdout } = outcome;
  const heard = spoken(outcome);
  if (heard !== "") return heard;
  if (![0, 1, 2].includes(status)) return `exit status ${status}`;
  const said = json ? document(stdout) : {};
  return typeof said === "string" ? `--json that is not one document (${said}): ${JSON.stringify(stdout)}` : "";
}
