/** Pictures of a calibration folder, decoded by sharp where the user has installed it. */

import {FormatError, messageOf, TensorrtNodeError} from '../../../errors.js';
import type {CalibrationImage} from './options.js';

/** As much of sharp as is used here. */
export type Sharp = (path: string) => SharpImage;

interface SharpImage {
  rotate(): SharpImage;
  removeAlpha(): SharpImage;
  toColourspace(name: string): SharpImage;
  raw(): SharpImage;
  toBuffer(options: {resolveWithObject: true}): Promise<{data: Uint8Array; info: {width: number; height: number; channels: number}}>;
}

/** Throws TensorrtNodeError (ERR_NOT_FOUND) without sharp. */
export async function loadSharp(load: () => Promise<{default: unknown}> = importSharp): Promise<Sharp> {
  try {
    return (await load()).default as Sharp;
  } catch (cause) {
    throw new TensorrtNodeError('ERR_NOT_FOUND', 'calibrating with pictures needs the package sharp to decode them', 'npm install sharp', {
      cause,
    });
  }
}

function importSharp(): Promise<{default: unknown}> {
  // Not a literal, as it is optional and TypeScript would look for it.
  const name = 'sharp';
  return import(name);
}

/** Upright, in sRGB, without transparency. Throws FormatError for a file that is no picture. */
export async function decodeImage(sharp: Sharp, path: string): Promise<CalibrationImage> {
  try {
    const image = sharp(path).rotate().removeAlpha().toColourspace('srgb').raw();
    const {data, info} = await image.toBuffer({resolveWithObject: true});
    const {width, height, channels} = info;
    return {path, width, height, channels, pixels: data};
  } catch (cause) {
    const problem = messageOf(cause);
    throw new FormatError('ERR_IMAGE', path, `is not a picture: ${problem}`, undefined, {cause});
  }
}
