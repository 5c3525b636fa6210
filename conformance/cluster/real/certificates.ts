// The cluster's certificate authority, and certificates by it, as kubeadm would make them.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";

export interface Identity {
  key: string;
  cert: string;
}

const openssl = (...command: string[]) => execFileSync("openssl", command, { stdio: "pipe" });
const CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

export class Authority {
  readonly directory: string;
  readonly ca: string;

  /** One that an earlier start of the node made is taken again. */
  constructor(directory: string) {
    this.directory = directory;
    this.ca = `${directory}/ca.crt`;
    if (existsSync(this.ca)) return;
    mkdirSync(directory, { recursive: true });
    const name = ["-subj", "/CN=podnic-cluster", "-days", "2"];
    openssl("req", "-x509", ...CURVE, ...name, "-keyout", `${directory}/ca.key`, "-out", this.ca);
    openssl("genrsa", "-out", `${directory}/accounts.key`, "2048");
  }

  /** The key that signs the tokens of service accounts. */
  get accounts(): string {
    return `${this.directory}/accounts.key`;
  }

  /** `subject`: "/O=GROUP/CN=USER". `names`: what a server is called. */
  issue(file: string, subject: string, names: string[] = []): Identity {
    const [key, cert, request] = ["key", "crt", "csr"].map((ending) => `${this.directory}/${file}.${ending}`);
    const extensions = `${this.directory}/${file}.ext`;
    const alternatives = names.map((name) => `${/^[\d.]+$/.test(name) ? "IP" : "DNS"}:${name}`).join(",");
    writeFileSync(
      extensions,
      `extendedKeyUsage=clientAuth,serverAuth\n${alternatives && `subjectAltName=${alternatives}\n`}`,
    );
    openssl("req", ...CURVE, "-subj", subject, "-keyout", key!, "-out", request!);
    const by = ["-CA", this.ca, "-CAkey", `${this.directory}/ca.key`, "-CAcreateserial"];
    openssl("x509", "-req", "-in", request!, ...by, "-days", "2", "-extfile", extensions, "-out", cert!);
    return { key: key!, cert: cert! };
  }

  kubeconfig(file: string, server: string, { key, cert }: Identity): string {
    const data = (name: string) => readFileSync(name).toString("base64");
    const path = `${this.directory}/${file}.kubeconfig`;
    const text = `apiVersion: v1
kind: Config
clusters: [{ name: c, cluster: { server: "${server}", certificate-authority-data: ${data(this.ca)} } }]
users: [{ name: u, user: { client-certificate-data: ${data(cert)}, client-key-data: ${data(key)} } }]
contexts: [{ name: x, context: { cluster: c, user: u } }]
current-context: x
`;
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }
}
