// Names of host interfaces that ADD must not use for its own interfaces, although no interface has these names at the moment.
import { Failure } from "../../src/errors.ts";
import { attachmentInWords, loanNamed } from "../../src/plugin/lent/lender.ts";
import { isReservedName } from "../../src/plugin/reserved-names.ts";

/** Called when the host has no such interface. Throws Failure("invalid config"). */
export function refuseReserved(name: string): void {
  const lent = loanNamed(name);
  if (lent !== undefined) {
    throw new Failure(
      "invalid config",
      `"${name}" is the name of a device that a pod has at the moment`,
      `${attachmentInWords(lent.key)} has the device, which returns to the host under this name. Use another name.`,
    );
  }
  if (!isReservedName(name)) return;
  throw new Failure(
    "invalid config",
    `"${name}" is the name of an interface that another program creates`,
    "Use another name. If ADD took this one, the other program could not create its interface.",
  );
}
