// podnic schema [NAME]: JSON Schemas, for editors.
import { Argument } from "commander";
import { command } from "./command.ts";
import { schemaOf, schemaTitles } from "./schema/schemas.ts";
import { printJson, printTable } from "./terminal.ts";

const epilogue = `Each schema is one JSON Schema document (draft 7), with everything that it refers to. An editor uses it to complete and explain keys
and values; podnic validate also checks what a schema cannot express, such as overlapping ranges. Editors ignore podnic's own formats,
such as "cidr".

  podnic schema                              # list the schemas
  podnic schema macvlan >macvlan.schema.json
  podnic schema conflist >conflist.schema.json

In VS Code's settings: "json.schemas": [{"fileMatch": ["*.conflist"], "url": "./conflist.schema.json"}]`;

export const schemaCommand = () =>
  command("schema", "print the JSON Schema of a configuration, for editors", epilogue)
    .addArgument(
      new Argument("[plugin]", "name of the schema; without it, all are listed").choices([...schemaTitles().keys()]),
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
