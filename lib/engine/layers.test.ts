import {describe, expect, it} from 'vitest';

import {parseLayers} from './layers.js';

describe('parseLayers', () => {
  it('reads detailed layers', () => {
    const text = JSON.stringify({
      Layers: [
        {
          Name: '/conv1/Conv + /relu1/Relu',
          LayerType: 'CaskConvolution',
          Inputs: [
            {
              Name: 'x',
              Location: 'Device',
              Dimensions: [1, 3, 48, 320],
              'Format/Datatype': 'Channel major FP16 format where channel % 8 == 0',
            },
          ],
          Outputs: [
            {
              Name: 'y',
              Location: 'Device',
              Dimensions: [1, 16, 24, 160],
              'Format/Datatype': 'Channel major FP16 format where channel % 8 == 0',
            },
          ],
          Weights: {Type: 'Half', Count: 432},
          Bias: {Type: 'Half', Count: 16},
          TacticName: 'sm80_xmma_fprop_implicit_gemm_f16f16',
          TacticValue: '0x1e55f8b415964e81',
          StreamId: 0,
          Metadata: '[ONNX Layer: /conv1/Conv]',
        },
        {
          Name: 'reformat',
          LayerType: 'Reformat',
          Inputs: [],
          Outputs: [{Name: 'z', Dimensions: [2], 'Format/Datatype': 'Row major Int64 format'}],
          TacticValue: '0x0',
        },
      ],
      Bindings: ['x', 'y'],
    });
    const [conv, reformat] = parseLayers(text);
    expect(conv).toMatchObject({
      name: '/conv1/Conv + /relu1/Relu',
      type: 'CaskConvolution',
      precision: 'FP16',
      inputs: [{name: 'x', dims: [1, 3, 48, 320], format: 'Channel major FP16 format where channel % 8 == 0'}],
      tactic: 'sm80_xmma_fprop_implicit_gemm_f16f16',
      metadata: '[ONNX Layer: /conv1/Conv]',
      weightBytes: 896,
    });
    expect(conv!.details).toMatchObject({StreamId: 0});
    expect(reformat).toMatchObject({precision: 'Int64', tactic: '0x0'});
    expect(reformat!.weightBytes).toBeUndefined();
  });

  it('reads names alone, as plans below detailed verbosity tell', () => {
    expect(parseLayers('{"Layers": ["a", "b"], "Bindings": []}')).toEqual([{name: 'a'}, {name: 'b'}]);
  });

  it.each(['', 'Layers', '[]', '{}', '{"Layers": 5}', 'null'])('refuses %j', (text) => {
    expect(() => parseLayers(text)).toThrow(expect.objectContaining({code: 'ERR_TENSORRT'}));
  });

  it('reads what is not quite JSON', () => {
    const text = `{"Layers": [{"Name": "a\\q", "LayerType": "gemm", "Metadata": "[ONNX Layer: x]\u001e[ONNX Layer: y]", "Alpha": nan, "Beta": -inf,}]}`;
    expect(parseLayers(text)[0]).toMatchObject({
      name: 'a\\q',
      metadata: '[ONNX Layer: x]\x1e[ONNX Layer: y]',
      details: {Alpha: null, Beta: null},
    });
  });
});
