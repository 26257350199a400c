#include "shape_checks.h"

#include <stdexcept>
#include <string>

#include "../tensor_info.h"

namespace tensorrt_node::tensorrt::plugins {

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

}  // namespace tensorrt_node::tensorrt::plugins
