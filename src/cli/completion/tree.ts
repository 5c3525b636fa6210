// Describes the command line for the completion scripts, from the definitions of the commands.
import type { Argument, Command, Option } from "commander";
import { pluginNames } from "../../cni/registry.ts";

/** The possible values of a word: one of a list, or something that the shell can look up. */
export type Wanted = { words: string[] } | "file" | "directory" | "netns" | "anything";

export interface Switch {
  /** "-i", "--ifname". */
  flags: string[];
  description: string;
  /** The option's value; undefined if it takes none. */
  value: Wanted | undefined;
}

export interface Verb {
  name: string;
  description: string;
  switches: Switch[];
  arguments: { name: string; wanted: Wanted; repeats: boolean }[];
}

export function verbsOf(podnic: Command): Verb[] {
  return podnic.commands.map((command) => ({
    name: command.name(),
    description: command.description(),
    switches: [
      ...command.options.map(toSwitch),
      { flags: ["-h", "--help"], description: "show help", value: undefined },
    ],
    arguments: command.registeredArguments.map((each) => ({
      name: each.name(),
      wanted: wantedBy(each.name(), each),
      repeats: each.variadic,
    })),
  }));
}

function toSwitch(option: Option): Switch {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined && flag !== null) as string[];
  const takesValue = option.required || option.optional;
  const name = /[<[](\w+)/.exec(option.flags)?.[1] ?? "";
  return { flags, description: option.description, value: takesValue ? wantedBy(name, option) : undefined };
}

/** The possible values, according to the value's name in the help: <file>, <network>, <dir>, <netns>, <name...>. */
function wantedBy(name: string, { argChoices, variadic }: Pick<Argument | Option, "argChoices" | "variadic">): Wanted {
  if (argChoices !== undefined) return { words: [...argChoices] };
  if (name === "file" || name === "network") return "file";
  if (name === "dir" || name === "dirs") return "directory";
  if (name === "netns") return "netns";
  // <name...> is a list of plugins; a single <name> is an interface or a network.
  return name === "name" && variadic ? { words: pluginNames() } : "anything";
}
