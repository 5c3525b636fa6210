// Included at the end of a copy of quickjs.c (conformance/fuzz/build.ts): which edges of the JavaScript there are. An edge is a call of
// a function, an outcome of a conditional jump, or the start of a handler of exceptions. JS_CallInternal counts them (counters.h).

typedef void PodnicVisit(void *opaque, const uint8_t *at, unsigned outcomes);

static void podnic_each_edge(JSFunctionBytecode *b, PodnicVisit *visit, void *opaque) {
  const uint8_t *start = b->byte_code_buf, *end = start + b->byte_code_len;
  visit(opaque, start, 1);
  // Jumps first: a handler may start where the next instruction after a jump is, and then shares its counter.
  for (int handlers = 0; handlers < 2; handlers++) {
    for (const uint8_t *pc = start; pc < end; pc += short_opcode_info(*pc).size) {
      int jumps = *pc == OP_if_false || *pc == OP_if_true || *pc == OP_if_false8 || *pc == OP_if_true8;
      if (jumps && !handlers) visit(opaque, pc + short_opcode_info(*pc).size, 2);
      if (*pc == OP_catch && handlers) visit(opaque, pc + 1 + get_u32(pc + 1), 1);
    }
  }
}

static void podnic_number(void *opaque, const uint8_t *at, unsigned outcomes) {
  (void)opaque;
  if ((size_t)(at - podnic_code) >= PODNIC_CODE) abort();
  uint32_t *edge = &podnic_edge_of[at - podnic_code];
  if (*edge != 0) return;
  *edge = podnic_edges;
  podnic_edges += outcomes;
  if (podnic_edges > PODNIC_COUNTERS) abort();
}

static void podnic_each_function(JSRuntime *rt, void *opaque, void (*visit)(void *opaque, JSFunctionBytecode *b, int line)) {
  struct list_head *el;
  list_for_each(el, &rt->gc_obj_list) {
    JSGCObjectHeader *header = list_entry(el, JSGCObjectHeader, link);
    if (header->gc_obj_type != JS_GC_OBJ_TYPE_FUNCTION_BYTECODE) continue;
    JSFunctionBytecode *b = (JSFunctionBytecode *)header;
    int column;
    visit(opaque, b, find_line_num(b->realm, b, -1, &column));
  }
}

static void podnic_number_function(void *opaque, JSFunctionBytecode *b, int line) {
  if (((int (*)(int))opaque)(line)) podnic_each_edge(b, podnic_number, NULL);
}

/* Numbers the edges of every function that `is_counted`, given its first line. */
void podnic_number_edges(JSRuntime *rt, int (*is_counted)(int line)) {
  podnic_edges = 2;
  podnic_each_function(rt, is_counted, podnic_number_function);
}

struct podnic_report {
  FILE *out;
  const uint8_t *seen;
  unsigned some, all;
};

static void podnic_add(void *opaque, const uint8_t *at, unsigned outcomes) {
  struct podnic_report *report = opaque;
  for (unsigned i = 0; i < outcomes; i++) report->some += report->seen[podnic_edge_of[at - podnic_code] + i];
  report->all += outcomes;
}

static void podnic_report_function(void *opaque, JSFunctionBytecode *b, int line) {
  struct podnic_report *report = opaque;
  if (podnic_edge_of[b->byte_code_buf - podnic_code] == 0) return;
  char name[ATOM_GET_STR_BUF_SIZE];
  report->some = report->all = 0;
  podnic_each_edge(b, podnic_add, report);
  const char *text = JS_AtomGetStr(b->realm, name, sizeof name, b->func_name);
  fprintf(report->out, "%d\t%u\t%u\t%s\n", line, report->some, report->all, text);
}

/* First line, edges seen, edges there are and name of every function. `seen`: 0 or 1 by edge. */
void podnic_report_edges(JSRuntime *rt, const uint8_t *seen, FILE *out) {
  struct podnic_report report = {.out = out, .seen = seen};
  podnic_each_function(rt, &report, podnic_report_function);
}
