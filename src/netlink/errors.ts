import { Refusal } from "../errors.ts";

/** The kernel refused a request, or its answer was lost. */
export class NetlinkError extends Refusal {
  override readonly name: string = "NetlinkError";
  /** The request in the words of `ip`: "ip link set eth0 netns …". */
  readonly operation: string;
  /** Positive errno. */
  readonly errno: number;
  /** Symbolic errno: "EEXIST". */
  readonly code: string;
  /** The kernel's extended-ack text, or "". */
  readonly kernelMessage: string;

  constructor(operation: string, errno: number, code: string, text: string, kernelMessage = "") {
    super(`${operation}: ${text}${kernelMessage === "" ? "" : ` (${kernelMessage})`}`);
    this.operation = operation;
    this.errno = errno;
    this.code = code;
    this.kernelMessage = kernelMessage;
  }
}

/** Bytes that are no netlink message, or a value that fits in none: errno EPROTO. */
export class ProtocolError extends NetlinkError {
  override readonly name = "ProtocolError";

  constructor(what: string) {
    super("netlink", 71, "EPROTO", what);
  }
}
