// Images of runs by what they show and by their step. Pure.

/** An image of a run: what it is of, and at which step. */
export interface ImageName {
  /** The path with `*` for the step: images that differ in it alone show the same thing. */
  name: string;
  step: number | null;
}

const IMAGE = /\.(png|jpe?g|gif|webp|avif|bmp)$/i;
const LAST_NUMBER = /(\d+)(?=\D*$)/;

/** Read the path of an artifact; null if it is no image. The last number before the ending is the step. */
export function imageName(path: string): ImageName | null {
  const ending = IMAGE.exec(path);
  if (!ending) return null;
  const stem = path.slice(0, ending.index);
  const number = LAST_NUMBER.exec(stem);
  if (!number) return { name: path, step: null };
  return { name: `${stem.slice(0, number.index)}*${stem.slice(number.index + number[0].length)}${ending[0]}`, step: Number(number[0]) };
}

export interface StoredImage extends ImageName {
  path: string;
}

/** Images of some runs, by what they show: for each run in order of steps. */
export interface Family {
  name: string;
  /** One list a run, in the order of the runs. */
  images: StoredImage[][];
}

/** Sort the images of runs into families, by name. `paths` has the artifacts of each run. */
export function families(paths: readonly (readonly string[])[]): Family[] {
  const found = new Map<string, Family>();
  paths.forEach((all, run) => {
    for (const path of all) {
      const image = imageName(path);
      if (!image) continue;
      let family = found.get(image.name);
      if (!family) found.set(image.name, (family = { name: image.name, images: paths.map(() => []) }));
      family.images[run]!.push({ ...image, path });
    }
  });
  const made = [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { images } of made) for (const all of images) all.sort((a, b) => (a.step ?? 0) - (b.step ?? 0));
  return made;
}

/** All steps of images, in order. */
export function stepsOf(all: readonly Family[]): number[] {
  const steps = all.flatMap(({ images }) => images.flat().flatMap(({ step }) => (step === null ? [] : [step])));
  return [...new Set(steps)].sort((a, b) => a - b);
}

/** The newest image of a run up to a step (null: of all); undefined: it has none by then. */
export function imageAt(images: readonly StoredImage[], step: number | null): StoredImage | undefined {
  return images.filter((one) => step === null || one.step === null || one.step <= step).at(-1);
}
