import {describe, expect, it} from 'vitest';

import {sensitiveLayers} from './sensitive_layers.js';

const named = (...names: string[]) => names.map((name) => ({name}));

describe('sensitiveLayers', () => {
  it('takes attention everywhere and down_proj of both ends and every third layer between', () => {
    const layers = Array.from({length: 32}, (_, layer) =>
      ['self_attn.qkv_proj', 'self_attn.o_proj', 'mlp.gate_up_proj', 'mlp.down_proj'].map((part) => `model.layers.${layer}.${part}`),
    );
    const names = sensitiveLayers(named(...layers.flat(), 'lm_head')).map(({name}) => name);
    const layersOf = (part: string) => names.filter((name) => name.endsWith(part)).map((name) => Number(name.split('.')[2]));
    const all = Array.from({length: 32}, (_, layer) => layer);
    expect(layersOf('qkv_proj')).toEqual(all);
    expect(layersOf('o_proj')).toEqual(all);
    // use_more_bits() of llama.cpp, for 32 layers.
    expect(layersOf('down_proj')).toEqual([0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]);
    expect(layersOf('gate_up_proj')).toEqual([]);
    expect(names).not.toContain('lm_head');
  });

  it('takes products that are not packed, and none of names it does not know', () => {
    const layers = named('model.layers.0.attn.q_proj', 'model.layers.0.attn.v_proj', 'encoder.0.fc1', 'my_down_proj');
    expect(sensitiveLayers(layers).map(({name}) => name)).toEqual(['model.layers.0.attn.q_proj', 'model.layers.0.attn.v_proj']);
    expect(sensitiveLayers([])).toEqual([]);
  });
});
