// What each kernel is given: one struct, by value. Plain data, the same for device code, its launchers and the
// simulator's reference. Pointers are to device memory; matrices are dense and row-major.
#pragma once

#include <cstdint>

#include "cache_format.h"
#include "quantized_division.h"
#include "quantized_format.h"

namespace tensorrt_node::kernels {

enum class ElementType : std::int32_t { float16, bfloat16, float32 };

enum class Activation : std::int32_t { silu, geluTanh, geluErf };

// out[row] = table[tokens[row]]; zeros for a token outside the table.
struct EmbedParameters {
  const std::int32_t* tokens;  // [rows]
  const void* table;           // [vocabulary, width]
  void* out;                   // [rows, width]
  std::int32_t rows;
  std::int32_t width;
  std::int32_t vocabulary;
};

// sum = x + skip; y = sum / sqrt(mean(sum * sum) + epsilon) * weight, in float32 inside.
struct RmsNormParameters {
  const void* x;       // [rows, width]
  const void* skip;    // [rows, width], or null
  const void* weight;  // [width]
  void* y;             // [rows, width]
  void* sum;           // [rows, width], or null
  std::int32_t rows;
  std::int32_t width;
  float epsilon;
};

// y = activation(gate) * up.
struct GatedActivationParameters {
  const void* gateUp;  // [rows, 2 * width]: a row's gate, then its up
  void* y;             // [rows, width]
  std::int32_t rows;
  std::int32_t width;
  Activation activation;
};

// y = x * transpose(weight) + bias + residual, summed in float32. For few rows: bound by reading the weight.
// With normWeight x is normalised first, as by RmsNorm; gated, y is activation(gate) * up, where gate is the first half
// of what comes out and up the second.
struct LinearParameters {
  const void* x;         // [rows, inner]
  const void* weight;    // [outer, inner]
  const void* bias;      // [outer], or null
  const void* residual;  // [rows, outer], or null; not with `gated`
  void* y;               // [rows, outer], gated [rows, outer / 2], of `outputType`
  std::int32_t rows;
  std::int32_t inner;
  std::int32_t outer;
  ElementType outputType;
  const void* normWeight = nullptr;  // [inner], or null
  void* workspace = nullptr;         // linearWorkspaceBytes()
  float epsilon = 0;
  std::int32_t gated = 0;
  Activation activation = Activation::silu;
  std::int32_t arrivals = 0;  // Arrivals::first(), with a packed weight
};

// Rows come in runs: those of one sequence that follow each other. A decode step has runs of one row, a chunk of a
// prompt is one run, and both may be in one call. A run's new keys and values are written to its slot's pages before
// they are read.
struct AttentionParameters {
  const void* qkv;   // [rows, (heads + 2 * kvHeads) * headSize]
  void* out;         // [rows, heads * headSize]
  const float* cos;  // [positions, rotarySize / 2], or null: nothing is rotated
  const float* sin;  // likewise
  // [2]: addresses of this layer's pages of keys and of values, each [pages, kvHeads, pageSize, headSize], or as
  // cache_format.h has it for `cacheType`. Read on the device, so that one captured step serves wherever they are.
  const std::int64_t* cache;
  const std::int32_t* pages;      // [slots, pagesPerSlot]: where tokens pageSize * i and on of a slot are
  const std::int32_t* runStarts;  // [runs + 1]: rows of run r are runStarts[r] to runStarts[r + 1] - 1
  const std::int32_t* runSlots;   // [runs]; -1 is padding: nothing is read, and zeros are written to out
  const std::int32_t* positions;  // [rows], in the row's sequence; ascending by one within a run
  void* workspace;                // attentionWorkspaceBytes()
  std::int32_t rows;
  std::int32_t runs;
  std::int32_t heads;
  std::int32_t kvHeads;
  std::int32_t headSize;
  std::int32_t rotarySize;   // of a head, the first elements; the rest is not rotated
  std::int32_t interleaved;  // pairs are neighbours instead of halves apart
  std::int32_t pagesPerSlot;
  std::int32_t pageSize;      // a multiple of 16
  std::int32_t window;        // tokens seen, the row's own included; 0 is all
  std::int32_t decode;        // each run is one row: run r is row r
  std::int32_t splits;        // parts that a row's keys are read in at once, with `decode`
  std::int32_t arrivals = 0;  // Arrivals::first(), with more than one of them
  float scale;
  float softcap;  // scores become softcap * tanh(score / softcap); 0 is off
  CacheType cacheType = CacheType::plain;
};

// How a slot chooses its tokens; meanings and defaults as SamplingParameters in lib/backend/backend.ts.
struct SlotSampling {
  float temperature;
  float topP;
  float minP;
  float repetitionPenalty;
  float presencePenalty;
  float frequencyPenalty;
  std::int32_t topK;
  std::uint32_t seed;
  std::int32_t logprobs;  // most likely tokens to report; -1 for none
  std::int32_t biases;
  std::int32_t stopTokens;
  const std::int32_t* biasTokens;    // [biases]
  const float* biasValues;           // [biases]
  const std::int32_t* stopTokenIds;  // [stopTokens]
  std::int32_t* counts;  // [vocabulary]: times in the reply; the top bit is set for tokens of the prompt. Null
                         // where no penalty asks for it
};

// What the next step of a slot begins with.
struct SlotState {
  std::int32_t token;
  std::int32_t position;   // of `token`; the draw for the token after it depends on position + 1
  std::int32_t remaining;  // tokens that it may still choose
  std::int32_t running;    // 0 once it chose a stop token, or the last one
};

constexpr int maxLogprobs = 20;

// What stands in a record where no token was chosen. The last two end the slot.
enum TokenProblem : std::int32_t {
  notRunning = -1,  // padding, or a slot that had finished
  notNumbers = -2,  // the model computed logits that are not numbers
  noneLeft = -3,    // each token has a logit of -Infinity
};

// What a step says of a slot. Written to pinned memory.
struct TokenRecord {
  std::int32_t token;     // or a TokenProblem
  std::int32_t finished;  // 1 with the last token: a stop token, or none remaining
  float logprob;
  std::int32_t topTokens[maxLogprobs];
  float topLogprobs[maxLogprobs];
};

// Chooses a token for each row, writes its record, and makes its slot ready for the next step.
struct SampleParameters {
  const float* logits;           // [rows, vocabulary]
  const std::int32_t* slots;     // [rows]; -1 is padding
  const SlotSampling* sampling;  // [slots]
  SlotState* states;             // [slots]
  TokenRecord* records;          // [rows]
  void* workspace;               // sampleWorkspaceBytes()
  std::int32_t rows;
  std::int32_t vocabulary;
};

// What the rows of a decode step are: each a slot's token. Slots that do not run become padding.
struct BeginStepParameters {
  const std::int32_t* slots;  // [rows]; -1 is padding
  const SlotState* states;    // [slots]
  std::int32_t* tokens;       // [rows]
  std::int32_t* positions;    // [rows]
  std::int32_t* runStarts;    // [rows + 1]: each row is a run
  std::int32_t* runSlots;     // [rows]; -1 where nothing runs
  std::int32_t rows;
};

// out = in in another type, transposed if need be: how weights get from files into the form that Linear takes.
struct ConvertParameters {
  const void* in;  // [rows, columns], or [columns, rows] if transposed
  void* out;       // [rows, columns]
  std::int64_t rows;
  std::int64_t columns;
  ElementType inType;
  ElementType outType;
  std::int32_t transposed;
};

// out[row, k] = (code - zero point) * scale, with a scale and a zero point for each `block` codes of a row.
struct DequantizeParameters {
  const std::uint8_t* codes;  // [rows, blocks, block * bits / 8], the first code in the low bits
  const void* scales;         // [rows, blocks]
  const void* zeroPoints;     // packed: [rows, (blocks * bits + 7) / 8] bytes; floating: [rows, blocks]; or null
  void* out;                  // [rows, columns]
  std::int64_t rows;
  std::int64_t columns;
  std::int32_t bits;  // 4 or 8
  std::int32_t block;
  std::int32_t zeroPoint;  // where zeroPoints is null
  std::int32_t packedZeroPoints;
  ElementType scaleType;
  ElementType zeroPointType;  // of floating ones
  ElementType outType;
};

// Rows firstRow to firstRow + rows - 1 of a packed matrix (quantized_format.h) from what files hold. Memory was zeroed
// before: codes of no row or column count nothing.
struct PackParameters {
  const void* codes;   // [rows, blocks, block * bits / 8], the first code in the low bits; without blocks a byte each
                       // [rows, inner]; transposed a byte each [inner, rows]
  const void* scales;  // [rows, blocks]; transposed [blocks, rows]
  const void* zeroPoints;  // packed: [rows, (blocks * bits + 7) / 8] bytes; floating: [rows, blocks]; or null.
                           // Transposed [blocks, rows], packed ones a byte each
  void* packed;            // quantizedBytes()
  std::int64_t outer;      // of the whole matrix
  std::int64_t inner;
  std::int64_t firstRow;
  std::int64_t rows;
  QuantizedFormat format;
  std::int32_t block;      // of the file, a multiple of the format's; 0: a row has one scale
  std::int32_t zeroPoint;  // where zeroPoints is null, for formats with offsets
  std::int32_t packedZeroPoints;
  std::int32_t
      isSigned;  // codes and packed zero points are two's complement, of zero where unsigned ones are 2^(bits - 1)
  std::int32_t transposed;
  ElementType scaleType;
  ElementType zeroPointType;  // of floating ones
};

// out = a packed matrix, dense.
struct UnpackParameters {
  const void* packed;
  void* out;  // [outer, inner]
  std::int64_t outer;
  std::int64_t inner;
  QuantizedFormat format;
};

// What kernels of packed matrices are given beside that by their launchers.
struct QuantizedLinearParameters {
  LinearParameters linear;
  QuantizedFormat format;
  QuantizedLayout layout;
  // Of kernels for few rows: rows of x of a block, at most as many as they have columns for.
  std::int32_t rowsOfBlock = 0;
  // Tiles of a block, of which the first `moreTiles` have one more, and those that it adds up at once.
  std::int32_t tilesOfBlock = 0;
  std::int32_t moreTiles = 0;
  std::int32_t batch = 0;
  // Chunks of each warp that are asked for while the kernel before still runs.
  std::int32_t stagesBefore = 0;
  // How far a warp is from its next chunk, in tiles and chunks.
  std::int32_t stepTiles = 0;
  std::int32_t stepChunks = 0;
  // Of kernels for many.
  QuantizedDivision division{};
  std::int32_t stages = 0;
  // Of a stage of a slice, in shared memory.
  std::int32_t stageVectors = 0;
  float* partials = nullptr;
};
struct QuantizedEmbedParameters {
  EmbedParameters embed;
  QuantizedFormat format;
  QuantizedLayout layout;
};
struct QuantizedPackParameters {
  PackParameters pack;
  QuantizedLayout layout;
  std::int64_t firstTile;
};
struct QuantizedUnpackParameters {
  UnpackParameters unpack;
  QuantizedLayout layout;
};

}  // namespace tensorrt_node::kernels
