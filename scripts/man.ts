// Writes the manual pages from the texts of the help: dist/man/podnic.1 and podnic-COMMAND.1. `man dist/man/podnic-validate.1` shows one.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Argument, Command, Option } from "commander";
import { epilogueOf } from "../src/cli/command.ts";
import { podnic } from "../src/cli/main.ts";
import { registerPlugins } from "../src/cni/registry.ts";
import { plugins } from "../src/plugins.ts";
import { podnicVersion } from "../src/version.ts";
import { dist } from "./build/paths.ts";

/** Escapes text for man(7): backslashes, hyphens, and dots or quotes at the start of a line. */
function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .split("\n")
    .map((line) => (line.startsWith(".") || line.startsWith("'") ? `\\&${line}` : line))
    .join("\n");
}

/** Formats a part of an epilogue. Indented lines stay as they are; other lines are paragraphs. */
function paragraphs(text: string): string {
  const lines: string[] = [];
  let literal = false;
  let open = false;
  for (const line of text.split("\n")) {
    const isLiteral = line.startsWith("  ");
    if (isLiteral && !literal) lines.push(".PP", ".in +4n", ".nf");
    if (!isLiteral && literal) lines.push(".fi", ".in");
    if (!isLiteral && line !== "" && !open) lines.push(".PP");
    if (line !== "") lines.push(roff(isLiteral ? line.slice(2) : line));
    literal = isLiteral;
    open = !isLiteral && line !== "";
  }
  if (literal) lines.push(".fi", ".in");
  return lines.join("\n");
}

function argumentText(argument: Argument): string {
  const dots = argument.variadic ? "..." : "";
  return argument.required ? `<${argument.name()}${dots}>` : `[${argument.name()}${dots}]`;
}

function item(head: string, text: string): string {
  return `.TP\n.B ${roff(head)}\n${roff(text)}`;
}

function optionItem(option: Option): string {
  return item(option.flags, option.description);
}

function page(command: Command, parent: Command | undefined): string {
  const name = parent === undefined ? "podnic" : `podnic-${command.name()}`;
  const call = parent === undefined ? "podnic" : `podnic ${command.name()}`;
  const rest =
    parent === undefined
      ? "<command> [options]"
      : ["[options]", ...command.registeredArguments.map(argumentText)].join(" ");
  const parts = [
    `.TH ${name.toUpperCase()} 1 "" "podnic ${podnicVersion}" "podnic"`,
    `.SH NAME\n${roff(name)} \\- ${roff(command.description().replace(/\.$/, ""))}`,
    `.SH SYNOPSIS\n.B ${roff(call)}\n${roff(rest)}`,
  ];
  if (epilogueOf(command) !== "") parts.push(`.SH DESCRIPTION\n${paragraphs(epilogueOf(command))}`);
  if (command.registeredArguments.length > 0) {
    parts.push(
      `.SH ARGUMENTS\n${command.registeredArguments.map((each) => item(argumentText(each), each.description)).join("\n")}`,
    );
  }
  if (command.options.length > 0) parts.push(`.SH OPTIONS\n${command.options.map(optionItem).join("\n")}`);
  if (parent === undefined) {
    parts.push(`.SH COMMANDS\n${command.commands.map((each) => item(each.name(), each.description())).join("\n")}`);
    parts.push(
      `.SH SEE ALSO\n${command.commands.map((each) => `.BR ${roff(`podnic-${each.name()}`)} (1)`).join("\n")}`,
    );
  } else parts.push(".SH SEE ALSO\n.BR podnic (1)");
  return `${parts.join("\n")}\n`.replaceAll(/^\.PP\n(?=\.SH)/gm, "").replaceAll(/^(\.SH DESCRIPTION)\n\.PP$/gm, "$1");
}

/** Writes the pages into `dir` and returns their names. */
export function writeManual(dir: string): string[] {
  registerPlugins(plugins);
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  const whole = podnic();
  const pages = [whole, ...whole.commands].map((command): [string, string] => {
    const name = command === whole ? "podnic.1" : `podnic-${command.name()}.1`;
    return [name, page(command, command === whole ? undefined : whole)];
  });
  for (const [name, text] of pages) writeFileSync(join(dir, name), text);
  return pages.map(([name]) => name);
}

if (process.argv[1]?.endsWith("scripts/man.ts")) {
  const pages = writeManual(join(dist, "man"));
  console.log(`dist/man: ${pages.length} pages`);
}
