// One look at an empty disk, for wrong-plugins.built.test.ts, in namespaces of its own: look.ts TOOLS BIN PROGRAMS
// PROGRAMS is the directory of a mount and an umount that do nothing.
import { writeFileSync } from "node:fs";
import { Shell } from "../faults/shell.ts";
import { lookAt, prepareNode } from "./aftermath.ts";
import { fileSystems } from "./systems.ts";

const [tools, bin, programs] = process.argv.slice(2) as [string, string, string];
const node = prepareNode(tools);
writeFileSync("/run/powercut/current.img", "");
const shell = new Shell({ enter: [] });
await shell.run(`export PATH=${programs}:$PATH`);
const recording = { steps: [], answers: new Map(), log: [], base: "" };
const { wrong } = await lookAt(shell, fileSystems[0]!, recording, { at: 0, more: [], until: 0 }, bin, false, node);
shell.close();
console.log(JSON.stringify(wrong));
