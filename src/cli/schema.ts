// podnic schema [NAME]: JSON Schemas, for editors.
import { Argument } from "commander";
import { command } from "./command.ts";
import { schemaOf, schemaTitles } from "./schema/schemas.ts";
import { printJson, printTable } from "./terminal.ts";

const epilogue = `Each is one document of JSON Schema, draft 7, with everything it refers to. An editor that knows it completes keys and values and
explains them; what it cannot say (whether ranges overlap, say) podnic validate does. Formats such as "cidr" are podnic's own, which
editors pass over.

  podnic schema                              # which there are
  podnic schema macvlan >macvlan.schema.json
  podnic schema conflist >conflist.schema.json

In VS Code's settings: "json.schemas": [{"fileMatch": ["*.conflist"], "url": "./conflist.schema.json"}]`;

export const schemaCommand = () =>
  command("schema", "print the JSON Schema of a configuration, for editors", epilogue)
    .addArgument(
      new Argument("[plugin]", "which schema; without it all are listed").choices([...schemaTitles().keys()]),
    )
    .option("--json", "list the schemas as one JSON document")
    .action((name: string | undefined, options: { json?: boolean }) => {
      const titles = schemaTitles();
      if (name === undefined) {
        if (options.json === true) printJson(Object.fromEntries(titles));
        else printTable(["SCHEMA", "OF"], [...titles]);
        return;
      }
      printJson(schemaOf(name));
    });
