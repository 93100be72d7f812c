/** The designer of layouts in the dashboard, by mouse and by key. */
import type { Locator, Page } from 'playwright-core';

export class LayoutDesigner {
  readonly #page: Page;

  constructor(page: Page) {
    this.#page = page;
  }

  /** Once the page has all its parts: a report that comes meanwhile would move the canvas under the mouse. */
  async open(): Promise<void> {
    await this.#page.getByRole('heading', { name: 'Cut' }).waitFor();
    await this.#page.getByRole('button', { name: 'Design the layout' }).click();
    await this.#page.getByTestId('canvas').waitFor();
  }

  async choose(kind: string): Promise<void> {
    await this.#page.getByRole('combobox', { name: 'Kind' }).selectOption({ label: kind });
  }

  region(index: number): Locator {
    return this.#page.getByRole('button', { name: new RegExp(`^Region ${index},`) });
  }

  /** Into a field of the region that is chosen. */
  async write(label: string, text: string): Promise<void> {
    await this.#page
      .getByRole('group', { name: /^Region/ })
      .getByLabel(label, { exact: true })
      .fill(text);
  }

  /** Drags a region by its middle, or its corner, so far, in fractions of the canvas. */
  async drag(index: number, by: 'middle' | 'corner', dx: number, dy: number): Promise<void> {
    const { mouse } = this.#page;
    const canvas = this.#page.getByTestId('canvas');
    await canvas.scrollIntoViewIfNeeded();
    const size = (await canvas.boundingBox()) ?? { width: 0, height: 0 };
    const box = (await this.region(index).boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
    const x = box.x + (by === 'middle' ? box.width / 2 : box.width - 5);
    const y = box.y + (by === 'middle' ? box.height / 2 : box.height - 5);
    await mouse.move(x, y);
    await mouse.down();
    await mouse.move(x + dx * size.width, y + dy * size.height, { steps: 4 });
    await mouse.up();
  }

  async json(): Promise<unknown> {
    return JSON.parse(await this.#page.getByLabel('JSON').inputValue());
  }

  async writeJson(text: string): Promise<void> {
    await this.#page.getByLabel('JSON').fill(text);
  }
}
