/** Folder in the data folder that keeps compiled code: each process starts sooner and holds 20 to 30 MB less. */
export const COMPILED = 'compiled';
