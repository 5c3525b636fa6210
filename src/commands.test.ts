// Commands that messages print: people paste them, and a pod or a tenant may have chosen the names in them (shellWord in errors.ts).
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const COMMAND = /(?:\\`|\(|"|cure: `)((?:ip|bridge|bpftool|fuser|echo|ls|rm) [^`\\\n]*?)(?:\\`|\)[ .`]|" |`,)/g;
/** What nobody but the kernel or podnic chooses: numbers, PCI addresses, subnets, addresses of gateways, and what is quoted already. */
const SAFE = ["vlan", "end", "mtu", "port.mtu", "pci", "subnet", "gateway"];

test("have their names quoted", () => {
  const files = ["src", "plugins"].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => `${folder}/${name}`),
  );
  const found: string[] = [];
  let quoted = 0;
  for (const file of files.filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))) {
    for (const [, command] of readFileSync(file, "utf8").matchAll(COMMAND)) {
      for (const [, value] of command!.matchAll(/\$\{([\w.]+\(?)/g)) {
        if (value === "shellWord(") quoted++;
        else if (!SAFE.includes(value!)) found.push(`${file}: ${command}`);
      }
    }
  }
  expect(found).toEqual([]);
  expect(quoted).toBeGreaterThan(15);
});
