// Build tool: JavaScript on stdin, QuickJS bytecode on stdout. Linked with the engine of the executable, so that both agree on its format.
#include <stdio.h>
#include <stdlib.h>

#include "quickjs.h"

static int fail(JSContext *ctx, const char *what) {
  JSValue exception = JS_GetException(ctx);
  const char *text = JS_ToCString(ctx, exception);
  fprintf(stderr, "compile: %s: %s\n", what, text == NULL ? "" : text);
  return 1;
}

int main(void) {
  size_t room = 1 << 20, size = 0, n;
  char *source = malloc(room);
  while (source != NULL && (n = fread(source + size, 1, room - size - 1, stdin)) > 0)
    if ((size += n) == room - 1) source = realloc(source, room *= 2);
  if (source == NULL) return 1;
  source[size] = 0; // JS_Eval wants it

  JSRuntime *rt = JS_NewRuntime();
  JSContext *ctx = JS_NewContext(rt);
  JS_SetStripInfo(rt, JS_STRIP_DEBUG); // no source, no file names, no line numbers: minified code has none worth keeping
  JSValue function = JS_Eval(ctx, source, size, "podnic", JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY);
  if (JS_IsException(function)) return fail(ctx, "not JavaScript the engine takes");
  uint8_t *bytecode = JS_WriteObject(ctx, &size, function, JS_WRITE_OBJ_BYTECODE);
  if (bytecode == NULL) return fail(ctx, "no bytecode");
  return fwrite(bytecode, 1, size, stdout) == size && fflush(stdout) == 0 ? 0 : 1;
}
