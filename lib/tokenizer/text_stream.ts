/** Tokens to text as they come: each chunk is whole characters, and the chunks joined are the text of all the tokens. */

import type {TokenBytes} from './token_bytes.js';

export interface TextStreamOptions {
  /** Leave out special tokens, such as the one that ends a reply. Default true. */
  skipSpecialTokens?: boolean;
}

export class TextStream {
  readonly #bytes: TokenBytes;
  readonly #skipSpecialTokens: boolean;
  // Holds back an unfinished UTF-8 sequence, 3 bytes at most; a broken one becomes U+FFFD (WHATWG Encoding).
  readonly #decoder = new TextDecoder('utf-8', {ignoreBOM: true});
  #toStrip: number;

  constructor(bytes: TokenBytes, {skipSpecialTokens = true}: TextStreamOptions = {}) {
    this.#bytes = bytes;
    this.#skipSpecialTokens = skipSpecialTokens;
    this.#toStrip = bytes.leadingStrip.count;
  }

  /** Text that is complete with this token; often empty. */
  push(token: number): string {
    if (this.#skipSpecialTokens && this.#bytes.isSpecial(token)) return '';
    return this.#strip(this.#decoder.decode(this.#bytes.get(token), {stream: true}));
  }

  /** What is left: U+FFFD for a character that never got its last bytes, else nothing. The stream starts anew after this. */
  end(): string {
    const text = this.#strip(this.#decoder.decode());
    this.#toStrip = this.#bytes.leadingStrip.count;
    return text;
  }

  #strip(text: string): string {
    let start = 0;
    while (this.#toStrip > 0 && start < text.length) {
      if (text[start] === this.#bytes.leadingStrip.character) {
        start++;
        this.#toStrip--;
      } else {
        this.#toStrip = 0;
      }
    }
    return start === 0 ? text : text.slice(start);
  }
}
