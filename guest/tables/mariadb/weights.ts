/**
 * Reads the weights of characters that are not their own code point, as MariaDB's WEIGHT_STRING gives them.
 * Each word is a run: the distance from the start of the run before, how many (with `+` the weights count up,
 * with `=` they are all the same), and the first weight. All numbers are in base 36.
 */
function weights(runs: string): ReadonlyMap<number, number> {
  const map = new Map<number, number>();
  let codePoint = 0;
  for (const run of runs.split(' ')) {
    const [, distance, step, count, weight] = /^(\w+)(?:([+=])(\w+))?:(\w+)$/.exec(run)!;
    codePoint += parseInt(distance!, 36);
    for (let each = 0; each < parseInt(count ?? '1', 36); each++) {
      map.set(codePoint + each, parseInt(weight!, 36) + (step === '+' ? each : 0));
    }
  }
  return map;
}

/** The weights of utf8mb4_general_ci and utf8mb3_general_ci, in the basic plane. */
export const GENERAL_CI = weights(
  '2p+q:1t 2c:po b=6:1t 7:1v 1=4:1x 4=4:21 5+2:26 2=4:27 6=4:2d 4:2h 2:2b 1=6:1t 6:5i 1:1v 1=4:1x 4=4:21 ' +
    '4:5s 1+2:26 2=4:27 5:60 1=4:2d 4:2h 1:66 1:2h 1=6:1t 6=8:1v 8=2:1w 3:7k 1=a:1x a=8:1z 8=2:20 3:86 1=a:21 ' +
    'b:8i 1=2:22 2=2:23 3=6:24 7:8v 2:8x 1=6:26 8:96 1=6:27 7:9e 1=6:2a 6=8:2b 8=4:2c 5:9y 1=c:2d c=2:2f ' +
    '2=3:2h 3=6:2i 6:2b 4:aq 2:as 3:av 4:az 6:b5 3:dy 4:bc 7=2:27 3:bm 2:bo 3:br 5:bw 2=2:2d 5:c3 2:c5 3:c8 ' +
    '4:cc 2:dz 6=2:ck 3=2:cn 3=2:cq 2=2:1t 2=2:21 2=2:27 2=a:2d a:b2 1=4:1t 4=2:5i 3:dg 1=2:1z 2=2:23 2=4:27 ' +
    '4=2:c7 2:22 2=2:dt 2=2:1z 4=2:26 2=2:1t 2=2:5i 2=2:60 2=4:1t 4=4:1x 4=4:21 4=4:27 4=4:2a 4=4:2d 4=2:2b ' +
    '2=2:2c 3:f0 1=2:20 5:f6 2:f8 1=2:1t 2=2:1x 2=8:27 8=2:2h x:ap 1:au 2+2:ax 3:b3 2:b4 5:b7 3:b8 5:bb 1:ba ' +
    '6:bg 3:bh 3:bj b:bq 3:bt 5:by 2+2:c1 8:c7 4z:pl 1t:pd 2:ph 1:pj 1:pl 2:pr 2:px 1:q1 1:pl q:pl 1:px 1:pd ' +
    '1:ph 1:pj 1:pl 1:px 1+h:pd h=2:pv 2+6:pw 6:pl 1:px 1:pr 1:px 1:q1 2:pe 1:pk 2=2:r6 2:py 1:ps 5:re 2:rg ' +
    '2:ri 2:rk 2:rm 2:ro 2:rq 2:rs 2:ru 2:rw 2:ry 1:pm 1:pt 1:pv e=2:t1 3:sz 4:sm 5:t6 1:t4 1:tf y+w:sw ' +
    'w=2:t1 2:si 1:sz 1+3:sk 3:sm 1+4:so 4:t6 1:t4 1:tf 1:sv 2:v4 2:v6 2:v8 2:va 2:vc 2:ve 2:vg 2:vi 2:vk ' +
    '2:vm 2=3:vo 4:vs 2:vu 2:vw 2:vy 2:w0 c:wc 2:we 2:wg 2:wi 2:wk 2:wm 2:wo 2:wq 2:ws 2:wu 2:ww 2:wy 2:x0 ' +
    '2:x2 2:x4 2:x6 2:x8 2:xa 2:xc 2:xe 2:xg 2:xi 2:xk 2:xm 2:xo 2:xq 2=2:t2 3:xv 4:xz 4:y3 4=4:sw 5:yc ' +
    '1=2:t1 3=3:yg 3=2:t2 2=2:t3 3:yo 1=4:t4 4=2:ta 3=3:yw 3=2:tp 2=6:tf 6=2:tj 4=2:tn 2x+12:10x 4v3=2:1t ' +
    '2=6:1u 6=2:1v 2=a:1w a=a:1x a=2:1y 2=2:1z 2=a:20 a=4:21 4=6:23 6=8:24 8=6:25 6=8:26 8=8:27 8=4:28 4=8:2a ' +
    '8=a:2b a=8:2c 8=a:2d a=4:2e 4=a:2f a=4:2g 4=2:2h 2=6:2i 6:20 1:2c 1:2f 1:2h 2:2b 5=o:1t o=g:1x g=4:21 ' +
    '4=o:27 o=e:2d e=8:2h e=g:pd g=6:ph 8=6:ph 8=g:pj g=g:pl g=6:pr 8=6:pr 8=8:px 9:px 2:px 2:px 2:px 1=g:q1 ' +
    'g:pd 1:69n 1:ph 1:6a1 1:pj 1:6a3 1:pl 1:6aj 1:pr 1:6bd 1:px 1:6az 1:q1 1:6bf 3=g:pd g=g:pj g=g:q1 g=5:pd ' +
    '6=5:pd 6:pd 2:pl 4=3:pj 4=2:pj 2:ph 2:pj 2:pj 4=3:pl 6=5:pl a=3:px 4=2:pt 2=5:px 6:pt 6=3:q1 4=2:q1 2:pr ' +
    '2:q1 2:q1 ac+g:6lc o0+q:792 175d+q:1ee9',
);

/** The weights of latin1_swedish_ci, by byte. */
export const SWEDISH_CI = weights(
  '2p+q:1t 2n=4:1t 4:2k 1+2:2j 2:1v 1=4:1x 4=4:21 4:1w 1+2:26 2=3:27 3:2l 3=3:2d 3=2:2h 4=4:1t 4:2k 1+2:2j ' +
    '2:1v 1=4:1x 4=4:21 4:1w 1+2:26 2=3:27 3:2l 2:60 1=3:2d 3=2:2h 2:66',
);
