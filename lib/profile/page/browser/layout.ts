/** Where tracks stand: groups under titles that fold them, one row a lane. */

import type {EventRef, Lane, Model, Track} from './model.js';

export interface Row {
  track: Track;
  lane: Lane;
  top: number;
  height: number;
  /** A track's name stands at its first lane. */
  named: boolean;
}

export interface GroupTitle {
  group: string;
  top: number;
  folded: boolean;
  tracks: number;
}

export interface Layout {
  rows: Row[];
  titles: GroupTitle[];
  height: number;
}

export const TITLE_HEIGHT = 24;
const GAP = 3;

export function makeLayout({tracks}: Model, folded: ReadonlySet<string>): Layout {
  const layout: Layout = {rows: [], titles: [], height: 0};
  let group: string | undefined;
  for (const track of tracks) {
    if (track.group !== group) {
      group = track.group;
      const own = tracks.filter((each) => each.group === group).length;
      if (layout.titles.length > 0) layout.height += 4;
      layout.titles.push({group, top: layout.height, folded: folded.has(group), tracks: own});
      layout.height += TITLE_HEIGHT;
    }
    if (folded.has(track.group)) continue;
    const height = track.onGpu && !track.isCopies ? 22 : 17;
    for (const [i, lane] of track.lanes.entries()) {
      layout.rows.push({track, lane, top: layout.height, height, named: i === 0});
      layout.height += height + 1;
    }
    layout.height += GAP;
  }
  return layout;
}

export function rowOf({rows}: Layout, {lane}: EventRef): Row | undefined {
  return rows.find((row) => row.lane === lane);
}

export function rowAt({rows}: Layout, y: number): Row | undefined {
  return rows.find(({top, height}) => y >= top && y < top + height);
}

export function titleAt({titles}: Layout, y: number): GroupTitle | undefined {
  return titles.find(({top}) => y >= top && y < top + TITLE_HEIGHT);
}
