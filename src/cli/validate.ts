// podnic validate FILE…: what is wrong with configurations, in words that say where, what was expected and what to do.
import { assumePolicy } from "../config/policy.ts";
import { Failure } from "../errors.ts";
import { oneLine } from "../log.ts";
import { command } from "./command.ts";
import { Exit, Status } from "./exit.ts";
import { readInput } from "./input.ts";
import { type Colour, paint, plural, print, printJson } from "./terminal.ts";
import { cut } from "./validate/cut.ts";
import { type Judged, judge, type Located } from "./validate/file.ts";
import type { Level } from "./validate/finding.ts";

const lesson = `A file is a plugin's configuration or a list of them in JSON (.conf, .json, .conflist), or YAML with
NetworkAttachmentDefinitions; other objects in it are passed over. "-" is stdin. Nothing but these files is looked at, and no
root is needed: whether a device exists, and what /etc/cni/podnic.json adds to the directories that a configuration may name,
is not known here.

  podnic validate /etc/cni/net.d/*.conflist
  kubectl get net-attach-def -A -o yaml | podnic validate -
  podnic validate --json network.yaml

What is an error makes an ADD fail. A warning is about what is most likely not meant: a key that no plugin reads, for example.
Parts of other plugins than podnic's are noted and not checked.

Exit status: 0 no error, 1 an error (with --strict: or a warning), 2 the command line makes no sense.`;

/** What a file that cannot be read looks like. */
function unreadable(file: string, { message, details: cure }: Failure): Judged {
  return {
    file,
    networks: [],
    findings: [{ level: "error", line: 0, column: 0, path: "", message, cure, source: "", mark: 0 }],
    omitted: cut([]).omitted,
  };
}

/** Judges every file. */
export function validate(files: string[]): Judged[] {
  // The policy of a node is not part of a configuration.
  assumePolicy({});
  return files.map((file) => {
    try {
      return judge(file, readInput(file));
    } catch (error) {
      if (error instanceof Failure) return unreadable(file, error);
      throw error;
    }
  });
}

const colours: { [level in Level]: Colour } = { error: "red", warning: "yellow", note: "dim" };

/** Messages as compilers print them, with the line they are about. */
function show({ file, networks, findings, omitted }: Judged): void {
  for (const found of findings) showFinding(file, found);
  for (const level of ["error", "warning", "note"] as const) {
    if (omitted[level] === 0) continue;
    print(`${oneLine(file)}: ${paint(level, colours[level])}: ${plural(omitted[level], `more ${level}`)} not listed\n`);
  }
  if (findings.some(({ level }) => level !== "note")) return;
  for (const { name, plugins } of networks) {
    print(`${file}: ${paint("good", "green")}: network "${name}", plugins ${plugins.join(", ")}\n`);
  }
}

function showFinding(file: string, { level, line, column, path, message, cure, source, mark }: Located): void {
  const where = line === 0 ? file : `${file}:${line}:${column}`;
  print(`${oneLine(where)}: ${paint(level, colours[level])}: ${oneLine(message)}\n`);
  if (source !== "") {
    const head = `${String(line).padStart(5)} | `;
    const caret = `${" ".repeat(mark)}^${path === "" ? "" : ` ${oneLine(path)}`}`;
    print(`${head}${visible(source)}\n${" ".repeat(head.length - 2)}| ${caret}\n`);
  }
  if (cure !== "") print(`      ${oneLine(cure)}\n`);
}

/** Files may be a tenant's: no control character of theirs reaches the terminal. One column each, for the mark below. */
function visible(text: string): string {
  return [...text].map((char) => (char === "\t" ? " " : oneLine(char) === char ? char : "\ufffd")).join("");
}

function count(files: Judged[], level: Level): number {
  const inFile = ({ findings, omitted }: Judged) =>
    findings.filter((each) => each.level === level).length + omitted[level];
  return files.reduce((sum, file) => sum + inFile(file), 0);
}

export const validateCommand = () =>
  command("validate", "check configurations without touching anything", lesson)
    .argument(
      "<file...>",
      "CNI configuration (.conf, .json, .conflist), or YAML with NetworkAttachmentDefinitions; - is stdin",
    )
    .option("--strict", "warnings count as errors")
    .option("--json", "print one JSON document")
    .action((files: string[], options: { strict?: boolean; json?: boolean }) => {
      const judged = validate(files);
      const errors = count(judged, "error");
      const warnings = count(judged, "warning");
      if (options.json === true) printJson({ errors, warnings, files: judged });
      else {
        for (const each of judged) show(each);
        if (files.length > 1 || errors + warnings > 0) {
          print(`${plural(files.length, "file")}, ${plural(errors, "error")}, ${plural(warnings, "warning")}\n`);
        }
      }
      if (errors > 0 || (options.strict === true && warnings > 0)) throw new Exit(Status.failed);
    });
