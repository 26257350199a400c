// References: rows of a table.
#include "element.h"
#include "references.h"

namespace simulator::kernels {

template <typename Element>
void embed(const EmbedParameters& p) {
  for (std::int32_t row = 0; row < p.rows; ++row) {
    const std::int32_t token = p.tokens[row];
    const bool known = token >= 0 && token < p.vocabulary;
    for (std::int32_t i = 0; i < p.width; ++i) {
      const float value = known ? load<Element>(p.table, at(token) * at(p.width) + at(i)) : 0;
      store<Element>(p.out, at(row) * at(p.width) + at(i), value);
    }
  }
}

template void embed<Half>(const EmbedParameters&);
template void embed<Bfloat>(const EmbedParameters&);

std::vector<Touch> touches(const EmbedParameters& p) {
  return {reads(p.tokens, at(p.rows) * 4), reads(p.table, at(p.vocabulary) * at(p.width) * 2),
          writes(p.out, at(p.rows) * at(p.width) * 2)};
}

}  // namespace simulator::kernels
