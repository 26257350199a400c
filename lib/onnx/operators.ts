/** The operators of the ONNX standard and of ONNX Runtime, by name, to tell which node of a model nobody can run. */

import {describe} from './check.js';
import {graphsOf} from './model.js';
import type {ModelProto} from './onnx_pb.js';

/**
 * The operators that are neither ONNX's (to opset 28), nor ONNX Runtime 1.30's, nor functions of the model itself:
 * each once, as messages name the first node that uses it. For explaining why a model does not load; a runtime newer
 * than this list may know more.
 */
export function unknownOperators(model: ModelProto): string[] {
  const functions = new Set(model.functions.map(({domain, name}) => `${domain}:${name}`));
  const unknown = new Map<string, string>();
  const nodes = [...graphsOf(model)].flatMap(({node}) => node).concat(model.functions.flatMap(({node}) => node));
  for (const node of nodes) {
    const key = `${node.domain}:${node.opType}`;
    if (OPERATORS.get(node.domain)?.has(node.opType) || functions.has(key) || unknown.has(key)) continue;
    unknown.set(key, describe(node));
  }
  return [...unknown.values()];
}

const STANDARD = names(`
  Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization Bernoulli BitCast
  BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike CausalConvWithState Ceil Celu CenterCropPad Clip
  Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumProd CumSum DFT
  DeformConv DepthToSpace DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor
  GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample
  GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity If ImageDecoder InstanceNormalization IsInf IsNaN
  LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual LinearAttention Log LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger
  Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Multinomial Neg
  NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or PRelu Pad Pow
  QLinearConv QLinearMatMul QuantizeLinear RMSNormalization RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range
  Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
  RegexFullMatch Relu Reshape Resize ReverseSequence RoiAlign RotaryEmbedding Round STFT Scan Scatter ScatterElements ScatterND Selu
  SequenceAt SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SequenceLength SequenceMap Shape Shrink Sigmoid Sign Sin Sinh
  Size Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign SpaceToDepth Split SplitToSequence Sqrt Squeeze StringConcat
  StringNormalizer StringSplit Sub Sum SwiGLU Swish Tan Tanh TensorScatter TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu
  Unique Unsqueeze Upsample Where Xor
`);

/** ONNX Runtime registers a few of its own in the standard's domain. */
const STANDARD_EXTRA = names(`
  Affine Crop DynamicSlice GivenTensorFill ImageScaler MemcpyFromHost MemcpyToHost ParametricSoftplus ScaledTanh
  SimplifiedLayerNormalization Scale
`);

const CLASSICAL = names(`
  ArrayFeatureExtractor Binarizer CastMap CategoryMapper DictVectorizer FeatureVectorizer Imputer LabelEncoder LinearClassifier
  LinearRegressor Normalizer OneHotEncoder SVMClassifier SVMRegressor Scaler TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor
  ZipMap
`);

const MICROSOFT = names(`
  Attention AttnLSTM BeamSearch BiasAdd BiasDropout BiasGelu BiasSoftmax BiasSplitGelu BifurcationDetector BitmaskBiasDropout
  BitmaskDropout CDist CausalConvWithState ComplexMul ComplexMulConj ConvTransposeWithDynamicPads CropAndResize DecoderAttention
  DecoderMaskedMultiHeadAttention DecoderMaskedSelfAttention DequantizeBFP DequantizeLinear DequantizeWithOrder DynamicQuantizeLSTM
  DynamicQuantizeMatMul DynamicTimeWarping EPContext EmbedLayerNormalization ExpandDims FastGelu FusedConv FusedGemm FusedMatMul
  FusedMatMulActivation GatedRelativePositionBias GatherBlockQuantized GatherND Gelu GemmFastGelu GemmFloat8 GemmaRotaryEmbedding
  GreedySearch GridSample GroupNorm GroupQueryAttention Inverse Irfft LinearAttention LongformerAttention MatMulBnb4 MatMulFpQ4
  MatMulInteger16 MatMulIntegerToFloat MatMulNBits MatMulNBitsMlp MatMulNBitsQkv MaxpoolWithMask MoE MulInteger MultiHeadAttention
  MurmurHash3 NGramRepeatBlock NhwcConv NhwcFusedConv NhwcMaxPool PackedAttention PackedMultiHeadAttention Pad PagedAttention QAttention
  QEmbedLayerNormalization QGemm QLinearAdd QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu
  QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QMoE QOrderedAttention QOrderedGelu QOrderedLayerNormalization
  QOrderedLongformerAttention QOrderedMatMul QuantizeBFP QuantizeLinear QuantizeWithOrder QuickGelu Range ReduceSumInteger
  RelativePositionBias RemovePadding RestorePadding Rfft RotaryEmbedding SampleOp Sampling SkipGroupNorm SkipLayerNormalization
  SkipSimplifiedLayerNormalization Snpe SparseAttention SparseToDenseMatMul Tokenizer TorchEmbedding TransposeMatMul Trilu UnfoldTensor
  Unique WhisperBeamSearch WordConvEmbedding
`);

const OPERATORS: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ['', new Set([...STANDARD, ...STANDARD_EXTRA])],
  ['ai.onnx', new Set([...STANDARD, ...STANDARD_EXTRA])],
  ['ai.onnx.ml', new Set(CLASSICAL)],
  ['com.microsoft', new Set(MICROSOFT)],
]);

function names(list: string): string[] {
  return list.trim().split(/\s+/);
}
