/* Elementary functions of four elements: a device takes them one by one. */
#define BY_ONE(name) INLINE vd v##name(const vd &a) { EACH(vd, own_##name(a.v[k])); }
BY_ONE(exp) BY_ONE(expm1) BY_ONE(log) BY_ONE(sin) BY_ONE(cos)
BINARY(vu, <<) BINARY(vu, >>)
INLINE vu by_half_word(const vu &a, const vu &b) { return a * b; }
INLINE vd words_to_reals(const vu &a) { EACH(vd, (double)a.v[k]); }
