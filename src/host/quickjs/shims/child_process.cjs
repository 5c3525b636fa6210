// node:child_process for commander, which asks only when it is not told its name or starts other executables; ours does neither.
module.exports = {};
