#include "shapes.h"

#include <stdexcept>
#include <string>

#include "../tensor_info.h"

namespace tensorrt_node::tensorrt::plugins {

void requireInputs(std::size_t given, std::size_t wanted) {
  if (given == wanted) return;
  throw std::invalid_argument("takes " + std::to_string(wanted) + (wanted == 1 ? " input" : " inputs") + ", got " +
                              std::to_string(given));
}

void requireRank(const nvinfer1::Dims& dims, int rank, const char* tensor) {
  if (dims.nbDims == rank) return;
  throw std::invalid_argument(std::string(tensor) + " " + shapeText(toShape(dims)) + " must have " +
                              std::to_string(rank) + (rank == 1 ? " dimension" : " dimensions"));
}

void requireSize(const nvinfer1::Dims& dims, int index, std::int64_t size, const char* tensor) {
  if (dims.d[index] == size) return;
  throw std::invalid_argument("dimension " + std::to_string(index) + " of " + tensor + " " + shapeText(toShape(dims)) +
                              " must be " + std::to_string(size));
}

nvinfer1::DimsExprs matrix(const nvinfer1::IDimensionExpr* rows, const nvinfer1::IDimensionExpr* columns) noexcept {
  nvinfer1::DimsExprs dims{};
  dims.nbDims = 2;
  dims.d[0] = rows;
  dims.d[1] = columns;
  return dims;
}

}  // namespace tensorrt_node::tensorrt::plugins
