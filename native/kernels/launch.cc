#include "launch.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "geometry.h"
#include "workspace.h"

namespace tensorrt_node::kernels {

namespace {

unsigned count(int value) {
  return static_cast<unsigned>(value);
}

void require(bool condition, const char* what) {
  if (!condition) throw std::invalid_argument(what);
}

std::string typed(const char* name, ElementType type) {
  require(type != ElementType::float32, "kernels are for float16 and bfloat16");
  return std::string(name) + (type == ElementType::float16 ? "_float16" : "_bfloat16");
}

// Of a matrix, along its columns first: grids are narrow in the other direction.
Grid tiles(std::int64_t rows, std::int64_t columns) {
  const std::int64_t across = (columns + convertTile - 1) / convertTile;
  const std::int64_t down = (rows + convertTile - 1) / convertTile;
  require(across * down <= 0x7FFFFFFF, "a matrix of too many tiles");
  return {.x = static_cast<unsigned>(across * down)};
}

// Enough threads for a vector each, in whole warps.
int threadsFor(int width, int most) {
  return std::clamp(roundUp(divideUp(width, elementsPerVector), 32), 32, most);
}

void requireShape(const AttentionParameters& p) {
  require(servesHeadSize(p.headSize), "attention: head sizes are 64, 80, 96, 128 and 256");
  require(p.kvHeads > 0 && p.heads % p.kvHeads == 0, "attention: heads must be a multiple of kvHeads");
  require(p.pageSize > 0 && p.pageSize % attentionTokens == 0, "attention: a page must hold a multiple of 16 tokens");
  require(p.cos == nullptr || (p.rotarySize % 2 == 0 && p.rotarySize <= p.headSize),
          "attention: rotarySize must be even and at most headSize");
}

}  // namespace

void embed(const Kernels& kernels, CUstream stream, ElementType type, const EmbedParameters& p) {
  if (p.rows == 0) return;
  kernels.launch(stream, typed("embed", type), {.x = count(p.rows)}, embedThreads, p);
}

void rmsNorm(const Kernels& kernels, CUstream stream, ElementType type, const RmsNormParameters& p) {
  if (p.rows == 0) return;
  kernels.launch(stream, typed("rms_norm", type), {.x = count(p.rows)}, count(threadsFor(p.width, rmsNormMaxThreads)),
                 p);
}

void gatedActivation(const Kernels& kernels, CUstream stream, ElementType type, const GatedActivationParameters& p) {
  if (p.rows == 0) return;
  require(p.rows <= 65535, "gatedActivation: at most 65535 rows");
  const int blocks = divideUp(p.width, gatedActivationThreads * elementsPerVector);
  kernels.launch(stream, typed("gated_activation", type), {.x = count(blocks), .y = count(p.rows)},
                 gatedActivationThreads, p);
}

namespace {

// As many rows of the weight as leave enough tiles to fill the GPU, and shared memory for 32 rows of x.
int linearOuterRowsFor(const Kernels& kernels, int outer) {
  int best = linearOuterRows[0];
  for (const int each : linearOuterRows)
    if (5 * divideUp(outer, each) >= 7 * kernels.multiprocessors() &&
        linearSharedBytes(each, 4) <= kernels.sharedBytes())
      best = each;
  return best;
}

// The product itself, x being what is multiplied.
void multiply(const Kernels& kernels, CUstream stream, ElementType type, const LinearParameters& p) {
  const int outputs = p.gated == 0 ? p.outer : p.outer / 2;
  if (p.inner % elementsPerVector != 0) {
    kernels.launch(stream, typed("linear_plain", type), {.x = count(outputs), .y = count(p.rows)}, linearPlainThreads,
                   p);
    return;
  }
  // What rows more are added up by must not depend on how many there are.
  const int outerRows = linearOuterRowsFor(kernels, p.outer);
  const int* columns = std::ranges::find_if(linearColumns, [&](int each) { return each * linearColumn >= p.rows; });
  if (columns == std::end(linearColumns)) --columns;
  while (columns != linearColumns && linearSharedBytes(outerRows, *columns) > kernels.sharedBytes()) --columns;
  const std::size_t bytes = linearSharedBytes(outerRows, *columns);
  const int blocks = std::clamp(static_cast<int>(kernels.sharedBytes() / bytes), 1, 2);
  const int tiles = divideUp(p.outer, outerRows);
  kernels.launch(stream, typed("linear", type) + "_" + std::to_string(outerRows) + "_" + std::to_string(*columns),
                 {.x = count(std::min(tiles, blocks * kernels.multiprocessors())),
                  .y = count(divideUp(p.rows, *columns * linearColumn))},
                 linearWarps * 32, p, bytes);
}

// Whether a kernel for few rows took it.
bool multiplyFew(const Kernels& kernels, CUstream stream, ElementType type, const LinearParameters& p) {
  const auto* const rows = std::ranges::find_if(gemvRows, [&](int most) { return most >= p.rows; });
  if (p.inner % elementsPerVector != 0 || rows == std::end(gemvRows)) return false;
  const int vectors = p.gated != 0 ? 2 : 1;
  const bool normed = p.normWeight != nullptr;
  const std::size_t bytes = gemvSharedBytes(*rows, vectors, p.inner, normed);
  if (bytes + gemvOwnSharedBytes > kernels.sharedBytes()) return false;
  const int tasks = p.outer / vectors;
  // One where that gives each warp a row.
  const int blocks = tasks <= gemvWarps * kernels.multiprocessors() ? 1 : gemvBlocks;
  kernels.launch(
      stream, typed(normed ? "gemv_norm" : "gemv", type) + "_" + std::to_string(*rows) + "_" + std::to_string(vectors),
      {.x = count(std::min(tasks, kernels.multiprocessors() * blocks))}, gemvWarps * 32, p, bytes);
  return true;
}

}  // namespace

void linear(const Kernels& kernels, CUstream stream, ElementType type, const LinearParameters& p, int fewRows) {
  if (p.rows == 0) return;
  require(p.rows <= 65535, "linear: at most 65535 rows");
  require(p.gated == 0 || (p.outer % 2 == 0 && p.residual == nullptr),
          "linear: a gated product has as many gates as ups, and no residual");
  if (p.rows <= fewRows && multiplyFew(kernels, stream, type, p)) return;
  if (p.normWeight == nullptr) {
    multiply(kernels, stream, type, p);
    return;
  }
  rmsNorm(kernels, stream, type, {p.x, nullptr, p.normWeight, p.workspace, nullptr, p.rows, p.inner, p.epsilon});
  LinearParameters normed = p;
  normed.x = p.workspace;
  normed.normWeight = nullptr;
  multiply(kernels, stream, type, normed);
}

namespace {

const char* nameOf(CodeType codes) {
  return codes == CodeType::uint4 ? "uint4" : codes == CodeType::uint8 ? "uint8" : "float8";
}
const char* nameOf(Offsets offsets) {
  return offsets == Offsets::middle ? "middle" : offsets == Offsets::codes ? "codes" : "floating";
}

QuantizedLayout requireServed(const QuantizedFormat& format, std::int64_t outer, std::int64_t inner) {
  require(servesQuantized(format, outer, inner), "quantized: a format or shape that no kernel was made for");
  return quantizedLayout(format, outer, inner);
}

std::string quantizedName(const char* name, ElementType type, const QuantizedFormat& format) {
  return typed(name, type) + "_" + nameOf(format.codes) + "_" + nameOf(format.offsets) + "_";
}

// Whether a kernel for few rows took it: whether so many of x at once fit into shared memory.
bool multiplyQuantizedFew(const Kernels& kernels, CUstream stream, ElementType type,
                          QuantizedLinearParameters parameters, int rows) {
  const LinearParameters& p = parameters.linear;
  const int tiles = static_cast<int>(parameters.layout.tiles);
  int blocks = 0;
  std::size_t bytes = 0;
  // As many as are side by side.
  for (int each = quantizedFewBlocks; each > 0; --each) {
    blocks = std::min(tiles, each * kernels.multiprocessors());
    bytes = quantizedFewSharedBytes(parameters.format, rows, p.inner, divideUp(tiles, blocks));
    if (each * bytes <= kernels.sharedBytes()) break;
  }
  if (bytes > kernels.sharedBytes()) return false;
  const int most = *std::ranges::find_if(quantizedFewKernels, [&](int each) { return each >= rows; });
  parameters.rowsOfBlock = rows;
  parameters.tilesOfBlock = tiles / blocks;
  parameters.moreTiles = tiles % blocks;
  parameters.batch = std::min(quantizedFewBatch(rows), divideUp(tiles, blocks));
  const int chunks = divideUp(p.inner, quantizedChunk);
  const int stages = quantizedFewStages(quantizedBits(parameters.format.codes));
  const bool fits = divideUp(tiles, blocks) * chunks <= stages * quantizedFewWarps;
  parameters.stagesBefore = fits ? stages : quantizedFewStagesBefore;
  parameters.stepTiles = quantizedFewWarps / chunks;
  parameters.stepChunks = quantizedFewWarps % chunks;
  kernels.launch(stream, quantizedName("quantized_few", type, parameters.format) + std::to_string(most),
                 {.x = count(blocks), .y = count(divideUp(p.rows, rows))}, quantizedFewWarps * 32, parameters, bytes);
  return true;
}

// Where blocks leave sums for each other, after what is there of x.
std::size_t quantizedPartialsPlace(std::int32_t rows, std::int32_t inner, bool normed) {
  return static_cast<std::size_t>(quantizedAligned(linearWorkspaceBytes(rows, inner, normed)));
}

// With as many slices as leave shared memory for two stages.
QuantizedDivision divisionFor(const Kernels& kernels, const QuantizedLinearParameters& parameters) {
  // What rows are added up by must not depend on how many there are.
  constexpr int columns = 4;
  QuantizedDivision division =
      quantizedDivision(parameters.layout.tiles, parameters.linear.inner, kernels.multiprocessors());
  while (division.slices > 1 &&
         quantizedManySharedBytes(parameters.format, division, columns, 2) > kernels.sharedBytes())
    division.slices /= 2;
  return division;
}

// The largest that there is must fit into what the smallest GPU of those compiled for gives a block.
static_assert(quantizedManySharedBytes({CodeType::uint8, Offsets::floating, 32, 0},
                                       {quantizedManyWarps / 2, 1, 1, 1, 1, 0, 1, 0}, 4, 2) <= std::size_t{99} << 10);

// Those of x begin where the parameters say, and not more than a launch takes.
void multiplyQuantizedRows(const Kernels& kernels, CUstream stream, ElementType type,
                           const QuantizedLinearParameters& parameters, int columns, std::size_t bytes) {
  kernels.launch(stream, quantizedName("quantized_many", type, parameters.format) + std::to_string(columns),
                 {.x = count(parameters.division.runs),
                  .y = count(divideUp(parameters.linear.rows, columns * linearColumn)),
                  .z = count(parameters.division.splits)},
                 count((parameters.division.warps * parameters.division.slices + quantizedManyCopyWarps) * 32),
                 parameters, bytes);
}

// The fewest tiles of rows of x that are enough, or the most that there are.
const int* quantizedColumns(int rows) {
  const int* columns =
      std::ranges::find_if(quantizedManyColumns, [&](int each) { return each * linearColumn >= rows; });
  return columns == std::end(quantizedManyColumns) ? columns - 1 : columns;
}

void multiplyQuantizedMany(const Kernels& kernels, CUstream stream, ElementType type,
                           QuantizedLinearParameters parameters) {
  parameters.division = divisionFor(kernels, parameters);
  const auto sharedBytes = [&](int columns, int stages) {
    return quantizedManySharedBytes(parameters.format, parameters.division, columns, stages);
  };
  const LinearParameters all = parameters.linear;
  const int* columns = quantizedColumns(all.rows);
  while (columns != quantizedManyColumns && sharedBytes(*columns, 2) > kernels.sharedBytes()) --columns;
  parameters.stages = quantizedManyStages;
  // More than this of shared memory makes a decode step slower.
  const std::size_t worthIt = kernels.sharedBytes() / 4 * 3;
  while (parameters.stages > 2 && sharedBytes(*columns, parameters.stages) > worthIt) --parameters.stages;
  parameters.stageVectors =
      quantizedManyStageVectors(parameters.format.codes, parameters.format.offsets, parameters.division, *columns);

  // As many as there are counters for.
  const int most =
      std::min(quantizedManyMostRows, arrivalsOfLease / parameters.division.runs * *columns * linearColumn);
  const auto after = [](const void* matrix, int rows, int width, int bytes) {
    return matrix == nullptr ? nullptr : static_cast<const char*>(matrix) + std::int64_t{rows} * width * bytes;
  };
  const int outputs = all.gated == 0 ? all.outer : all.outer / 2;
  for (int first = 0; first < all.rows; first += most) {
    LinearParameters& p = parameters.linear;
    p.rows = std::min(most, all.rows - first);
    p.x = after(all.x, first, all.inner, 2);
    p.residual = after(all.residual, first, outputs, 2);
    p.y = const_cast<char*>(after(all.y, first, outputs, all.outputType == ElementType::float32 ? 4 : 2));
    multiplyQuantizedRows(kernels, stream, type, parameters, *columns, sharedBytes(*columns, parameters.stages));
  }
}

}  // namespace

void quantizedLinear(const Kernels& kernels, CUstream stream, ElementType type, const LinearParameters& p,
                     const QuantizedFormat& format, int fewRows) {
  if (p.rows == 0) return;
  require(p.rows <= 65535, "quantizedLinear: at most 65535 rows");
  require((p.gated != 0) == (format.gated != 0) && (p.gated == 0 || p.residual == nullptr),
          "quantizedLinear: a gated product has a weight packed for it, and no residual");
  QuantizedLinearParameters parameters{p, format, requireServed(format, p.outer, p.inner)};
  if (p.rows <= fewRows && multiplyQuantizedFew(kernels, stream, type, parameters, p.rows)) return;
  if (p.normWeight != nullptr) {
    rmsNorm(kernels, stream, type, {p.x, nullptr, p.normWeight, p.workspace, nullptr, p.rows, p.inner, p.epsilon});
    parameters.linear.x = p.workspace;
    parameters.linear.normWeight = nullptr;
  }
  if (p.inner % elementsPerVector == 0) {
    parameters.partials = reinterpret_cast<float*>(static_cast<char*>(p.workspace) +
                                                   quantizedPartialsPlace(p.rows, p.inner, p.normWeight != nullptr));
    multiplyQuantizedMany(kernels, stream, type, parameters);
    return;
  }
  // Rows that are not whole vectors are read by those kernels alone.
  for (const int rows : {8, 4, 1})
    if (multiplyQuantizedFew(kernels, stream, type, parameters, rows)) return;
  require(false, "quantizedLinear: an inner size that is no multiple of 8, and too large");
}

void quantizedEmbed(const Kernels& kernels, CUstream stream, ElementType type, const EmbedParameters& p,
                    const QuantizedFormat& format) {
  if (p.rows == 0) return;
  const QuantizedEmbedParameters parameters{p, format, requireServed(format, p.vocabulary, p.width)};
  kernels.launch(stream, typed("quantized_embed", type), {.x = count(p.rows)}, quantizedRowThreads, parameters);
}

namespace {

// Blocks for a tile each, and as many in the other direction as its runs need.
Grid quantizedTiles(std::int64_t tiles, std::int64_t runs) {
  constexpr int ofBlock = quantizedRowThreads / 32 * quantizedRowRuns;
  const std::int64_t down = (runs + ofBlock - 1) / ofBlock;
  require(tiles <= 0x7FFFFFFF && down <= 65535, "quantized: a matrix of too many tiles");
  return {.x = static_cast<unsigned>(tiles), .y = static_cast<unsigned>(down)};
}

}  // namespace

void packQuantized(const Kernels& kernels, CUstream stream, const PackParameters& p) {
  if (p.rows == 0) return;
  QuantizedPackParameters parameters{p, requireServed(p.format, p.outer, p.inner), 0};
  require(p.firstRow >= 0 && p.rows > 0 && p.firstRow + p.rows <= p.outer, "packQuantized: rows outside the matrix");
  require(p.block >= 0 && (p.format.block == 0 ? p.block == 0 : p.block % p.format.block == 0),
          "packQuantized: blocks of the file must be whole blocks of the format");
  require(p.transposed == 0 || p.format.codes != CodeType::uint4, "packQuantized: only bytes can be transposed");
  require(p.rows <= 0x7FFFFFFF, "packQuantized: too many rows");
  const std::int64_t last = p.firstRow + p.rows - 1;
  std::int64_t lastTile = quantizedRow(p.format, p.outer, last).tile;
  parameters.firstTile = quantizedRow(p.format, p.outer, p.firstRow).tile;
  // Both gates and ups.
  if (p.format.gated != 0 && p.firstRow < p.outer / 2 && last >= p.outer / 2) {
    parameters.firstTile = 0;
    lastTile = parameters.layout.tiles - 1;
  }
  kernels.launch(stream, "pack_codes", quantizedTiles(lastTile - parameters.firstTile + 1, parameters.layout.units),
                 quantizedRowThreads, parameters);
  kernels.launch(stream, "pack_scales", {.x = static_cast<unsigned>(p.rows)}, quantizedRowThreads, parameters);
}

void unpackQuantized(const Kernels& kernels, CUstream stream, ElementType type, const UnpackParameters& p) {
  const QuantizedUnpackParameters parameters{p, requireServed(p.format, p.outer, p.inner)};
  kernels.launch(stream, typed("unpack_quantized", type), quantizedTiles(parameters.layout.tiles, (p.inner + 31) / 32),
                 quantizedRowThreads, parameters);
}

void attention(const Kernels& kernels, CUstream stream, ElementType type, const AttentionParameters& parameters) {
  if (parameters.rows == 0) return;
  requireShape(parameters);
  AttentionParameters p = parameters;
  const bool scaled = p.cacheType != CacheType::plain;
  const auto named = [&](const char* name) {
    constexpr const char* suffixes[] = {"", "_fp8", "_int8"};
    return typed((std::string(name) + suffixes[static_cast<int>(p.cacheType)]).c_str(), type);
  };
  const auto sized = [&](const char* name) { return named(name) + "_" + std::to_string(p.headSize); };
  const int groups = p.kvHeads * attentionHeadBlocks(p.heads, p.kvHeads);
  if (p.decode != 0) {
    require(p.rows == p.runs, "attention: decode is for runs of one row");
    require(p.rows <= 65535, "attention: at most 65535 rows");
    p.splits = p.rows * groups <= arrivalsOfLease ? std::max(p.splits, 1) : 1;
    kernels.launch(stream, sized("attention_decode"), {.x = count(p.splits), .y = count(groups), .z = count(p.rows)},
                   count(attentionDecodeWarps(p.headSize) * 32), p,
                   decodeSharedBytes(p.heads / p.kvHeads, p.headSize, scaled));
    return;
  }
  kernels.launch(stream, named("attention_append"), {.x = count(p.rows)}, attentionAppendThreads, p);
  const int queries = attentionWarps * attentionQueries(p.heads, p.kvHeads);
  // A run's last block may be partly filled; the kernel finds which block is whose.
  kernels.launch(stream, sized("attention_prefill"),
                 {.x = count(divideUp(p.rows, queries) + p.runs), .y = count(groups)}, attentionWarps * 32, p,
                 prefillSharedBytes(p.headSize, scaled));
}

void sample(const Kernels& kernels, CUstream stream, const SampleParameters& p) {
  if (p.rows == 0) return;
  require(p.rows <= 65535, "sample: at most 65535 rows");
  kernels.launch(stream, "sample_scan", {.x = count(divideUp(p.vocabulary, samplePart)), .y = count(p.rows)},
                 sampleScanThreads, p);
  kernels.launch(stream, "sample_choose", {.x = count(p.rows)}, sampleChooseThreads, p, sampleSharedBytes);
}

void beginStep(const Kernels& kernels, CUstream stream, const BeginStepParameters& p) {
  if (p.rows == 0) return;
  kernels.launch(stream, "begin_step", {.x = count(divideUp(p.rows, beginStepThreads))}, beginStepThreads, p);
}

void convert(const Kernels& kernels, CUstream stream, const ConvertParameters& p) {
  if (p.rows == 0 || p.columns == 0) return;
  kernels.launch(stream, "convert", tiles(p.rows, p.columns), convertTile * convertTileRows, p);
}

void dequantize(const Kernels& kernels, CUstream stream, const DequantizeParameters& p) {
  if (p.rows == 0 || p.columns == 0) return;
  require(p.bits == 4 || p.bits == 8, "dequantize: 4 or 8 bits");
  require(p.block > 0, "dequantize: a block must hold codes");
  kernels.launch(stream, "dequantize", tiles(p.rows, p.columns), convertTile * convertTileRows, p);
}

bool servesHeadSize(std::int32_t headSize) noexcept {
  return std::ranges::find(attentionHeadSizes, headSize) != std::end(attentionHeadSizes);
}

std::size_t linearWorkspaceBytes(std::int32_t rows, std::int32_t inner, bool normed) {
  return normed ? static_cast<std::size_t>(rows) * static_cast<std::size_t>(inner) * 2 : 0;
}

// The plan may run on a GPU with more multiprocessors than this one.
std::size_t quantizedWorkspaceBytes(std::int32_t rows, std::int32_t inner, std::int32_t outer, bool normed) {
  const int columns = *quantizedColumns(rows);
  const int ofLaunch = divideUp(std::min(rows, quantizedManyMostRows), columns * linearColumn) * columns;
  return quantizedPartialsPlace(rows, inner, normed) +
         static_cast<std::size_t>(ofLaunch) * quantizedPartialBytes(divideUp(outer, quantizedTile));
}

std::size_t attentionWorkspaceBytes(std::int32_t rows, std::int32_t heads, std::int32_t headSize, std::int32_t splits) {
  if (splits <= 1) return 0;
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(heads) * static_cast<std::size_t>(splits) *
         (static_cast<std::size_t>(headSize) * sizeof(float) + sizeof(SplitState));
}

std::int32_t attentionSplits(const Kernels& kernels, std::int32_t rows, std::int32_t heads, std::int32_t kvHeads,
                             std::int32_t headSize, std::int32_t tokens) {
  const int blocks = std::max(rows * kvHeads * attentionHeadBlocks(heads, kvHeads), 1);
  const int fitting = attentionDecodeBlocks(headSize) * kernels.multiprocessors();
  // All at once: blocks that begin when others end would make it take twice as long. But where the rows alone almost
  // fill the GPU, two, so that a long row does not keep the others waiting.
  const int wanted = fitting / blocks == 1 ? 2 : fitting / blocks;
  const int most = divideUp(divideUp(tokens, attentionTokens), attentionTilesPerSplit);
  return std::clamp(std::min(wanted, most), 1, attentionMostSplits);
}

std::size_t sampleWorkspaceBytes(std::int32_t rows, std::int32_t vocabulary) {
  const auto parts = static_cast<std::size_t>(divideUp(vocabulary, samplePart));
  return static_cast<std::size_t>(rows) * (parts * (sizeof(PartState) + 2 * sampleScanWarps * sizeof(std::uint64_t)) +
                                           static_cast<std::size_t>(roundUp(vocabulary, 4)) * sizeof(float));
}

}  // namespace tensorrt_node::kernels
