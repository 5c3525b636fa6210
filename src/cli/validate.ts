// podnic validate NETWORK…: shows the errors in configurations, where they are, what was expected, and what to do.
import { assumePolicy } from "../config/policy.ts";
import { Failure } from "../errors.ts";
import { oneLine } from "../log.ts";
import { command } from "./command.ts";
import { Exit, Status } from "./exit.ts";
import { readInput } from "./input.ts";
import { CONF_DIR, directoriesFor, fileOf } from "./runtime/networks.ts";
import { type Colour, paint, plural, print, printJson } from "./terminal.ts";
import { cut } from "./validate/cut.ts";
import { type CheckedFile, type Located, validateFile } from "./validate/file.ts";
import type { Level } from "./validate/finding.ts";
import { sameNameInWords, sameNames } from "./validate/same-name.ts";

const epilogue = `NETWORK is a file, "-" for stdin, or the name of a network in /etc/cni/net.d or /etc/cni/multus/net.d. A file contains JSON (the
configuration of one plugin, or a list of plugins) or YAML. In YAML, validate checks the NetworkAttachmentDefinitions and skips other
objects. It reads only these files, and does not need root. It does not check whether a device exists, or whether
/etc/cni/podnic.json allows a directory.

  podnic validate /etc/cni/net.d/*.conflist
  podnic validate blue
  kubectl get net-attach-def -A -o yaml | podnic validate -
  podnic validate --json network.yaml

An error makes ADD fail. A warning points out a probable mistake, such as a key that no plugin reads. Plugins that do not belong to
podnic are listed but not checked, except for their "ipam" if it is one of podnic's.

Exit status: 0 no errors, 1 an error (with --strict, also a warning), 2 wrong command line.`;

/** The finding for a file that cannot be read. */
function unreadable(file: string, { message, details: cure }: Failure): CheckedFile {
  return {
    file,
    networks: [],
    findings: [{ level: "error", line: 0, column: 0, path: "", message, cure, source: "", mark: 0 }],
    omitted: cut([]).omitted,
  };
}

/** Checks each file, or the file of each named network. */
export function validate(networks: string[], confDir?: string): CheckedFile[] {
  // Check the configurations independently of this node's policy.
  assumePolicy({});
  const directories = directoriesFor(confDir);
  const checked = networks.map((given) => {
    try {
      const file = fileOf(given, directories);
      return validateFile(file, readInput(file));
    } catch (error) {
      if (error instanceof Failure) return unreadable(given, error);
      throw error;
    }
  });
  for (const { file, name, other } of sameNames(checked)) {
    const [message, cure] = sameNameInWords(name, other);
    const same = checked.find((one) => one.file === file)!;
    same.findings.push({ level: "warning", line: 0, column: 0, path: "", message, cure, source: "", mark: 0 });
  }
  return checked;
}

const colours: { [level in Level]: Colour } = { error: "red", warning: "yellow", note: "dim" };

/** Prints the findings in the format of compilers, with the line of the file. */
function show({ file, networks, findings, omitted }: CheckedFile): void {
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

/** Replaces control characters, because the file may come from a tenant. Each character keeps one column, so that the caret is in the right place. */
function visible(text: string): string {
  return [...text].map((char) => (char === "\t" ? " " : oneLine(char) === char ? char : "\ufffd")).join("");
}

function count(files: CheckedFile[], level: Level): number {
  const inFile = ({ findings, omitted }: CheckedFile) =>
    findings.filter((each) => each.level === level).length + omitted[level];
  return files.reduce((sum, file) => sum + inFile(file), 0);
}

export const validateCommand = () =>
  command("validate", "check configurations without changing anything", epilogue)
    .argument(
      "<network...>",
      "files (.conf, .json, .conflist, or YAML with NetworkAttachmentDefinitions; - is stdin), or names of networks",
    )
    .option("--strict", "warnings count as errors")
    .option(...CONF_DIR)
    .option("--json", "print one JSON document")
    .action((networks: string[], options: { strict?: boolean; confDir?: string; json?: boolean }) => {
      const checked = validate(networks, options.confDir);
      const errors = count(checked, "error");
      const warnings = count(checked, "warning");
      if (options.json === true) printJson({ errors, warnings, files: checked });
      else {
        for (const each of checked) show(each);
        if (checked.length > 1 || errors + warnings > 0) {
          print(`${plural(checked.length, "file")}, ${plural(errors, "error")}, ${plural(warnings, "warning")}\n`);
        }
      }
      if (errors > 0 || (options.strict === true && warnings > 0)) throw new Exit(Status.failed);
    });
