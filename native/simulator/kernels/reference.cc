#include "reference.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "element.h"
#include "references.h"

namespace simulator::kernels {

namespace {

template <typename Parameters, auto body>
Reference reference(std::string_view name) {
  return {name, sizeof(Parameters), [](const void* p) { return touches(*static_cast<const Parameters*>(p)); },
          [](const void* p) { body(*static_cast<const Parameters*>(p)); }};
}

// Part of a computation that the reference makes in one piece.
template <typename Parameters>
void nothing(const Parameters&) {}

template <typename Element>
void appendAndAttend(const AttentionParameters& p) {
  appendToPages<Element>(p);
  attend<Element>(p);
}

template <typename Element>
struct Of {
  static constexpr std::array list{
      std::pair{"embed", &reference<EmbedParameters, &embed<Element>>},
      std::pair{"rms_norm", &reference<RmsNormParameters, &rmsNorm<Element>>},
      std::pair{"gated_activation", &reference<GatedActivationParameters, &gatedActivation<Element>>},
      std::pair{"linear", &reference<LinearParameters, &linear<Element>>},
      std::pair{"linear_plain", &reference<LinearParameters, &linear<Element>>},
      std::pair{"gemv", &reference<LinearParameters, &linear<Element>>},
      std::pair{"gemv_norm", &reference<LinearParameters, &linear<Element>>},
      std::pair{"quantized_few", &reference<QuantizedLinearParameters, &quantizedLinear<Element>>},
      std::pair{"quantized_many", &reference<QuantizedLinearParameters, &quantizedLinear<Element>>},
      std::pair{"quantized_embed", &reference<QuantizedEmbedParameters, &quantizedEmbed<Element>>},
      std::pair{"unpack_quantized", &reference<QuantizedUnpackParameters, &unpackQuantized<Element>>},
      std::pair{"attention_append", &reference<AttentionParameters, &appendToPages<Element>>},
      std::pair{"attention_decode", &reference<AttentionParameters, &appendAndAttend<Element>>},
      std::pair{"attention_prefill", &reference<AttentionParameters, &attend<Element>>},
      std::pair{"attention_append_fp8", &reference<AttentionParameters, &appendToPages<Element>>},
      std::pair{"attention_decode_fp8", &reference<AttentionParameters, &appendAndAttend<Element>>},
      std::pair{"attention_prefill_fp8", &reference<AttentionParameters, &attend<Element>>},
      std::pair{"attention_append_int8", &reference<AttentionParameters, &appendToPages<Element>>},
      std::pair{"attention_decode_int8", &reference<AttentionParameters, &appendAndAttend<Element>>},
      std::pair{"attention_prefill_int8", &reference<AttentionParameters, &attend<Element>>},
  };
};

// The name without the sizes at its end, and without the format of a packed weight: one reference serves all.
std::string_view withoutSizes(std::string_view name) {
  const std::size_t end = name.find_last_not_of("0123456789");
  const bool hasSize = end != std::string_view::npos && end + 1 < name.size() && name[end] == '_';
  if (hasSize) return withoutSizes(name.substr(0, end));
  return name.starts_with("quantized_") ? name.substr(0, name.find("float16") + 7) : name;
}

std::vector<Reference> all() {
  // They live as long as the process: functions refer to them.
  static std::vector<std::string> names;
  std::vector<Reference> made;
  const auto add = [&](const auto& list, const char* ending) {
    for (const auto& [base, make] : list) {
      names.push_back(std::string(base) + ending);
      made.push_back(make(names.back()));
    }
  };
  names.reserve(64);
  add(Of<Half>::list, "_float16");
  add(Of<Bfloat>::list, "_bfloat16");
  made.push_back(reference<SampleParameters, &nothing<SampleParameters>>("sample_scan"));
  made.push_back(reference<SampleParameters, &sample>("sample_choose"));
  made.push_back(reference<BeginStepParameters, &beginStep>("begin_step"));
  made.push_back(reference<ConvertParameters, &convert>("convert"));
  made.push_back(reference<DequantizeParameters, &dequantize>("dequantize"));
  made.push_back(reference<QuantizedPackParameters, &packQuantized>("pack_codes"));
  made.push_back(reference<QuantizedPackParameters, &nothing<QuantizedPackParameters>>("pack_scales"));
  made.push_back(reference<MatrixProductParameters, &matrixProduct>("matrix_product"));
  made.push_back(reference<ReverseHessianParameters, &reverseHessian>("reverse_hessian"));
  made.push_back(reference<CholeskyParameters, &choleskyDiagonal>("cholesky_diagonal"));
  made.push_back(reference<CholeskyParameters, &choleskyBelow>("cholesky_below"));
  made.push_back(reference<UnitUpperParameters, &unitUpper>("unit_upper"));
  made.push_back(reference<GptqParameters, &gptq>("gptq"));
  return made;
}

}  // namespace

const Reference* findReference(std::string_view name) {
  static const std::vector<Reference> references = all();
  for (const std::string_view wanted : {name, withoutSizes(name)}) {
    const auto found = std::ranges::find(references, wanted, &Reference::name);
    if (found != references.end()) return &*found;
  }
  return nullptr;
}

Touch reads(const void* address, std::size_t bytes) {
  return {reinterpret_cast<std::uintptr_t>(address), bytes, false, Place::any};
}

Touch writes(const void* address, std::size_t bytes) {
  return {reinterpret_cast<std::uintptr_t>(address), bytes, true, Place::any};
}

}  // namespace simulator::kernels
