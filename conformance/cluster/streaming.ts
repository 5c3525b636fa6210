// `kubectl exec` over a WebSocket (RFC 6455, v5.channel.k8s.io): each message begins with a byte that names its stream.
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

export type Exec = (
  namespace: string,
  pod: string,
  command: string[],
) => Promise<{ stdout: string; stderr: string; exitCode: number }>;

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const [STDOUT, STDERR, ERROR] = [1, 2, 3];
const [BINARY, CLOSE] = [0x82, 0x88];

function frame(kind: number, payload: Buffer): Buffer {
  const long = payload.length > 125;
  const head = Buffer.alloc(long ? 4 : 2);
  head[0] = kind;
  head[1] = long ? 126 : payload.length;
  if (long) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}

/** At most 64 KiB of each stream, which is more than any command here prints. */
const message = (stream: number, text: string) =>
  frame(BINARY, Buffer.concat([Buffer.from([stream]), Buffer.from(text)]));

export function serveExec(request: IncomingMessage, socket: Duplex, run: () => ReturnType<Exec>): void {
  const accept = createHash("sha1").update(`${request.headers["sec-websocket-key"]}${GUID}`).digest("base64");
  const upgrade = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
  socket.write(`${upgrade}Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n`);
  socket.on("error", () => {});
  socket.resume();
  const end = (status: object) => {
    socket.write(message(ERROR, JSON.stringify({ metadata: {}, ...status })));
    socket.end(frame(CLOSE, Buffer.from([3, 232])));
  };
  run().then(
    ({ stdout, stderr, exitCode }) => {
      if (stdout !== "") socket.write(message(STDOUT, stdout));
      if (stderr !== "") socket.write(message(STDERR, stderr));
      const causes = [{ reason: "ExitCode", message: String(exitCode) }];
      if (exitCode === 0) end({ status: "Success" });
      else end({ status: "Failure", reason: "NonZeroExitCode", message: `exit code ${exitCode}`, details: { causes } });
    },
    (error: unknown) => end({ status: "Failure", message: String(error) }),
  );
}
