// A small synthesiser for the 39 sounds of CMUdict, by WebAudio: a buzz or a hiss through resonances.
// It is a robot's voice: enough to hear which sound is meant.
globalThis.kerasbook ??= {};

kerasbook.sounds = (() => {
  // Vowels: the first two resonances (formants) in hertz at the beginning, and at the end if they glide.
  const VOWELS = {
    AA: [[730, 1090]], AE: [[660, 1720]], AH: [[620, 1190]], AO: [[570, 840]], EH: [[530, 1840]],
    ER: [[490, 1350]], IH: [[390, 1990]], IY: [[270, 2290]], UH: [[440, 1020]], UW: [[300, 870]],
    AW: [[730, 1200], [400, 900]], AY: [[730, 1200], [350, 2100]], EY: [[530, 1840], [320, 2200]],
    OW: [[550, 900], [350, 800]], OY: [[550, 850], [350, 2000]],
    W: [[300, 700], [450, 900]], Y: [[270, 2300], [400, 1900]], R: [[350, 1100], [450, 1300]],
    L: [[360, 1050]], M: [[250, 1000]], N: [[250, 1500]], NG: [[250, 1900]],
  };
  const SHORT = ["W", "Y", "R", "L", "M", "N", "NG"];
  // Hisses: the middle of their noise in hertz, how sharp it is, and whether the voice goes along.
  const HISSES = {
    S: [6500, 2, false], Z: [6500, 2, true], SH: [3000, 1.5, false], ZH: [3000, 1.5, true], F: [5000, 0.4, false],
    V: [5000, 0.4, true], TH: [5500, 0.3, false], DH: [5500, 0.3, true], HH: [1500, 0.5, false],
  };
  // Stops: a silence, then a short noise; two of them end in a hiss.
  const STOPS = {
    P: [900, false], B: [900, true], T: [4000, false], D: [4000, true], K: [2000, false], G: [2000, true],
    CH: [3500, false], JH: [3500, true],
  };
  const HISSING_STOPS = { CH: "SH", JH: "ZH" };
  const PITCH = 110;
  // A word for each sound, in which it is heard.
  const EXAMPLES = {
    AA: "hot", AE: "cat", AH: "sun", AO: "law", AW: "now", AY: "five", EH: "bed", ER: "bird", EY: "day", IH: "fish",
    IY: "tree", OW: "boat", OY: "boy", UH: "book", UW: "moon", B: "bed", CH: "chin", D: "day", DH: "this", F: "fish",
    G: "go", HH: "hot", JH: "jam", K: "cat", L: "law", M: "moon", N: "now", NG: "ring", P: "pen", R: "ring", S: "sun",
    SH: "ship", T: "tree", TH: "thin", V: "five", W: "win", Y: "yes", Z: "zoo", ZH: "measure",
  };

  const known = [...Object.keys(VOWELS), ...Object.keys(HISSES), ...Object.keys(STOPS)];

  function lengthOf(sound) {
    if (sound in STOPS) return sound in HISSING_STOPS ? 0.2 : 0.12;
    if (sound in HISSES) return 0.14;
    return SHORT.includes(sound) ? 0.1 : VOWELS[sound].length > 1 ? 0.26 : 0.18;
  }

  function noiseOf(context) {
    const buffer = context.createBuffer(1, context.sampleRate, context.sampleRate);
    const samples = buffer.getChannelData(0);
    let seed = 1;
    for (let i = 0; i < samples.length; i++) {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      samples[i] = seed / 2 ** 31 - 1;
    }
    return buffer;
  }

  function envelope(context, loudness, start, length) {
    const gain = context.createGain();
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(loudness, start + Math.min(0.02, length / 3));
    gain.gain.setValueAtTime(loudness, start + length - Math.min(0.03, length / 3));
    gain.gain.linearRampToValueAtTime(0, start + length);
    gain.connect(context.destination);
    return gain;
  }

  function band(context, frequency, sharpness, target) {
    const filter = context.createBiquadFilter();
    filter.type = "bandpass";
    filter.frequency.value = frequency;
    filter.Q.value = sharpness;
    filter.connect(target);
    return filter;
  }

  function buzz(context, start, length, target) {
    const voice = context.createOscillator();
    voice.type = "sawtooth";
    voice.frequency.setValueAtTime(PITCH, start);
    for (const one of target) voice.connect(one);
    voice.start(start);
    voice.stop(start + length);
  }

  function hiss(context, noise, [frequency, sharpness, voiced], loudness, start, length) {
    const out = envelope(context, loudness, start, length);
    const source = context.createBufferSource();
    source.buffer = noise;
    source.connect(band(context, frequency, sharpness, out));
    source.start(start, 0, length);
    if (voiced) buzz(context, start, length, [band(context, 200, 2, envelope(context, 0.25, start, length))]);
  }

  function vowel(context, formants, loudness, start, length) {
    const out = envelope(context, loudness, start, length);
    const filters = [0, 1].map((n) => {
      const filter = band(context, formants[0][n], 8, out);
      filter.frequency.setValueAtTime(formants[0][n], start);
      filter.frequency.linearRampToValueAtTime(formants.at(-1)[n], start + length);
      return filter;
    });
    buzz(context, start, length, [...filters, band(context, 2900, 10, out)]);
  }

  // Plays sounds from `start` seconds on; returns when the last one ends.
  function schedule(context, sounds, start = 0) {
    const noise = noiseOf(context);
    let time = start;
    for (const sound of sounds) {
      const length = lengthOf(sound);
      if (sound in VOWELS) vowel(context, VOWELS[sound], SHORT.includes(sound) ? 0.5 : 0.9, time, length);
      else if (sound in HISSES) hiss(context, noise, HISSES[sound], 0.5, time, length);
      else {
        const [frequency, voiced] = STOPS[sound];
        hiss(context, noise, [frequency, 1, voiced], 0.8, time + 0.06, sound in HISSING_STOPS ? 0.03 : 0.05);
        if (sound in HISSING_STOPS) hiss(context, noise, HISSES[HISSING_STOPS[sound]], 0.5, time + 0.08, 0.12);
      }
      time += length;
    }
    return time;
  }

  return { known, examples: EXAMPLES, lengthOf, schedule };
})();
