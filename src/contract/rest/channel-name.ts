/** What channels may be called (contract §0.4), for whoever reads a name and whoever is told of it. */

export const CHANNEL_NAME = /^[a-zA-Z0-9 !#$%&()+\-:;<=.>?@[\]^_{}|~,]+$/;
export const CHANNEL_NAME_WORDS = '1 to 63 letters, digits, spaces and !#$%&()+-:;<=.>?@[]^_{}|~,';
