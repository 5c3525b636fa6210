// podnic completion SHELL: generates the completion script for a shell from the definitions of the commands.
import { Argument, type Command } from "commander";
import { command } from "./command.ts";
import { bash } from "./completion/bash.ts";
import { fish } from "./completion/fish.ts";
import { verbsOf } from "./completion/tree.ts";
import { zsh } from "./completion/zsh.ts";
import { print } from "./terminal.ts";

const shells = { bash, zsh, fish };

const epilogue = `  source <(podnic completion bash)                                    # in ~/.bashrc
  podnic completion bash >/etc/bash_completion.d/podnic               # for all users
  podnic completion zsh >/usr/local/share/zsh/site-functions/_podnic
  podnic completion fish >~/.config/fish/completions/podnic.fish`;

export const completionCommand = () =>
  command("completion", "print the completion script for a shell", epilogue)
    .addArgument(new Argument("<shell>", "the shell").choices(Object.keys(shells)))
    .action((shell: keyof typeof shells, _options: object, self: Command) => {
      print(shells[shell](verbsOf(self.parent!)));
    });
