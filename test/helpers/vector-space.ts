import { seededRandom } from "./vectors.js";

export interface VectorSpace {
  readonly dimensions: number;
  /** Directions in which vectors vary: real embeddings have some tens, however many numbers they are written in. */
  readonly latent?: number;
  readonly clusters?: number;
  /** Standard deviation within a cluster; that of the centres is 1. */
  readonly spread?: number;
  readonly seed?: number;
}

/**
 * Endless streams of clustered vectors. A vector is a random linear image of a latent one, plus a little noise in every
 * dimension; the latent one lies around one of `clusters` centres. Isotropic noise in all dimensions would put all
 * neighbours at nearly the same distance, which no text does. All streams of a space share its clusters, so that one can
 * be stored and another asked.
 */
export function vectorSpace(space: VectorSpace): (stream: number) => () => Float32Array {
  const { dimensions, latent = 48, clusters = 200, spread = 0.7, seed = 1 } = space;
  const random = seededRandom(seed);
  const image = Array.from({ length: latent }, () => normals(dimensions, random));
  const centres = Array.from({ length: clusters }, () => normals(latent, random));
  // A pool instead of fresh noise for every number: a million vectors of 1,536 would spend minutes on it.
  const noise = normals(1 << 16, random).map((value) => value * 0.2 * Math.sqrt(latent));
  return (stream) => {
    const draw = seededRandom(seed * 7_919 + stream);
    return () => {
      const start = Math.floor(draw() * (noise.length - dimensions));
      const vector = noise.slice(start, start + dimensions);
      const centre = centres[Math.floor(draw() * clusters)]!;
      for (let direction = 0; direction < latent; direction += 1) {
        const weight = centre[direction]! + spread * normal(draw);
        const column = image[direction]!;
        for (let i = 0; i < dimensions; i += 1) vector[i]! += weight * column[i]!;
      }
      return vector;
    };
  };
}

function normals(count: number, random: () => number): Float32Array {
  return Float32Array.from({ length: count }, () => normal(random));
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
