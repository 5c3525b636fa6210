/** The kernel refused a request. */
export class NetlinkError extends Error {
  override readonly name = "NetlinkError";
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
