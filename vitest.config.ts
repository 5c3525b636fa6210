import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: [
      "src/**/*.test.ts",
      "plugins/**/*.test.ts",
      "scripts/**/*.test.ts",
      "conformance/**/*.test.ts",
      "deploy/*.test.ts",
      "docs/*.test.ts",
      "examples/*.test.ts",
    ],
    globalSetup: ["scripts/vitest-setup.ts"],
    setupFiles: ["src/host/node/install.ts"],
    // A process for each file: setns moves all of it, and only a process's first thread may call it safely.
    pool: "forks",
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
