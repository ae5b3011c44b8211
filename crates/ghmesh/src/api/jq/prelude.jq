# What gojq defines and jaq lacks, or defines in another way. Later definitions hide jaq's own.
# Names that begin with ghmesh_ are native (natives.rs).

def env: $ENV;

# Numbers as Go writes them: 5, not 5.0, for a whole quotient.
def tojson: ghmesh_tojson;
def tostring: if isstring then . else ghmesh_tojson end;
def @json: ghmesh_tojson;
def @text: tostring;
def @html: tostring | escape_html;
def @uri: tostring | encode_uri;
def @base64: tostring | encode_base64;
def @base64d: tostring | decode_base64;
def @sh: [if isarray then .[] end | if isstring then "'\(escape_sh)'" elif isarray or isobject then error("can not be escaped for shell: \(ghmesh_tojson)") else ghmesh_tojson end] | ghmesh_join(" ");
def @csv: ghmesh_csv;
def @tsv: ghmesh_tsv;

def join($separator): ghmesh_join($separator);
def ascii: [.] | implode;
def toarray: if isarray then . else [.] end;
def in(xs): . as $x | xs | has($x);
def ltrimstr($x): if isstring and ($x | isstring) and startswith($x) then .[($x | length):] end;
def rtrimstr($x): if isstring and ($x | isstring) and endswith($x) and $x != "" then .[:-($x | length)] end;

def from_entries:
  reduce .[] as $entry ({};
    . + { ($entry | if .key != null then .key elif .k != null then .k elif .name != null then .name elif .Name != null then .Name
            elif .K != null then .K elif .Key != null then .Key else .key end
          | if isstring then . else ghmesh_tojson end):
          ($entry | if has("value") then .value elif has("v") then .v else .Value end) });
def with_entries(f): to_entries | map(f) | from_entries;

def INDEX(stream; f): reduce stream as $row ({}; . + { ($row | f | tostring): $row });
def INDEX(f): INDEX(.[]; f);
def IN(source): any(source == .; .);
def IN(stream; source): any(stream == source; .);

def setpath($path; $value): ghmesh_setpath($path; $value);
def delpaths($paths): ghmesh_delpaths($paths);
def del(f): delpaths([path(f)]);
def leaf_paths: paths(scalars);
def tostream: path(def rec: (.[]? | rec), .; rec) as $p | getpath($p) | reduce path(.[]?) as $q ([$p, .]; [$p + $q]);
def fromstream(f):
  foreach f as $event ({x: null, done: false};
    (if .done then {x: null, done: false} end)
    | if $event | length == 2
      then .done = ($event[0] | length == 0) | setpath(["x"] + $event[0]; $event[1])
      else .done = ($event[0] | length == 1) end;
    if .done then .x else empty end);
def truncate_stream(stream): . as $depth | stream | if .[0] | length > $depth then [.[0][$depth:]] + .[1:] else empty end;
def limit($n; f): if $n > 0 then label $out | foreach f as $x (0; . + 1; if . < $n then $x else $x, break $out end) else empty end;
def splits($re): splits($re; null);
def splits($re; $flags): split($re; $flags // "") | .[];
def getpath($path): reduce $path[] as $step (.; if . == null then null else .[$step] end);
def todateiso8601: strftime("%Y-%m-%dT%H:%M:%SZ");
def todate: todateiso8601;
def dateadd(unit; n): . + n;
def halt_error: error;
def halt_error($code): error;
