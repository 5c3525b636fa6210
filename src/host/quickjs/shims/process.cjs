// node:process for commander: no terminal, no environment. src/cli gives it its arguments, its output and its way to end.
module.exports = { argv: [], env: {}, execArgv: [], versions: {}, platform: "linux", stdout: {}, stderr: {} };
