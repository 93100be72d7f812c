/** Turns the members that lay out a composite (contract §1.2.3, §1.4) into what a recorder places users by. Pure. */
import type { BackgroundImages, Layout, Region, VideoPlan } from '../line/plan.ts';
import type { LayoutMembers } from './layout.ts';

/** The layout and backgrounds of start's transcodingConfig, or of an updateLayout. */
export function toLayout(config: LayoutMembers): Pick<VideoPlan, 'layout' | 'backgroundColor' | 'backgrounds'> {
  const backgrounds = toBackgrounds(config);
  return {
    layout: placementOf(config),
    backgroundColor: config.backgroundColor || '#000000',
    ...(backgrounds && { backgrounds }),
  };
}

function toBackgrounds(config: LayoutMembers): BackgroundImages | undefined {
  const { backgroundImage: canvas, defaultUserBackgroundImage: defaultUser, backgroundConfig = [] } = config;
  if (!canvas && !defaultUser && backgroundConfig.length === 0) return undefined;
  return {
    ...(canvas && { canvas }),
    ...(defaultUser && { defaultUser }),
    users: backgroundConfig.map(({ uid, image_url: url, render_mode: mode }) => ({
      uid,
      url,
      render: mode === 1 ? 'fit' : 'crop',
    })),
  };
}

function placementOf(config: LayoutMembers): Layout {
  switch (config.mixedVideoLayout) {
    case 0:
      return { kind: 'floating' };
    case 1:
      return { kind: 'bestFit' };
    case 2:
      return { kind: 'vertical', ...(config.maxResolutionUid && { maxResolutionUid: config.maxResolutionUid }) };
    case 3:
      return { kind: 'custom', regions: (config.layoutConfig ?? []).map(toRegion) };
  }
}

function toRegion(entry: NonNullable<LayoutMembers['layoutConfig']>[number]): Region {
  const unit = (value: number) => Math.min(1, Math.max(0, value));
  const x = unit(entry.x_axis);
  const y = unit(entry.y_axis);
  return {
    ...(entry.uid && { uid: entry.uid }),
    x,
    y,
    width: Math.min(unit(entry.width), 1 - x),
    height: Math.min(unit(entry.height), 1 - y),
    alpha: entry.alpha,
    render: entry.render_mode === 1 ? 'fit' : 'crop',
  };
}
