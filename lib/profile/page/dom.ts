/** The little of a browser that the page's script uses; the whole of its types would be in the way of Node's everywhere else. */

export interface PagePointer {
  clientX: number;
  clientY: number;
  deltaX: number;
  deltaY: number;
  shiftKey: boolean;
  key: string;
  pointerId: number;
  target: PageElement;
  preventDefault(): void;
}

export interface PageElement {
  textContent: string | null;
  value: string;
  hidden: boolean;
  width: number;
  height: number;
  tagName: string;
  readonly clientWidth: number;
  readonly clientHeight: number;
  readonly offsetWidth: number;
  readonly offsetHeight: number;
  scrollTop: number;
  readonly style: {[name: string]: string};
  readonly dataset: {[name: string]: string | undefined};
  addEventListener(type: string, listener: (event: PagePointer) => void, options?: {passive?: boolean}): void;
  getBoundingClientRect(): {left: number; top: number};
  setPointerCapture(id: number): void;
  getContext(type: '2d'): PageCanvas;
}

export interface PageCanvas {
  fillStyle: string;
  font: string;
  textBaseline: string;
  fillRect(x: number, y: number, width: number, height: number): void;
  clearRect(x: number, y: number, width: number, height: number): void;
  fillText(text: string, x: number, y: number): void;
  measureText(text: string): {width: number};
  setTransform(a: number, b: number, c: number, d: number, e: number, f: number): void;
}

export interface PageWindow {
  devicePixelRatio: number;
  document: {getElementById(id: string): PageElement; querySelectorAll(selector: string): Iterable<PageElement>};
  addEventListener(type: string, listener: (event: PagePointer) => void): void;
  requestAnimationFrame(callback: () => void): number;
}
