"""What SC4S provides around an app parser, as far as one can see of it: our own stand-ins.

RFC 5424 told from 3164 by its version, topics and the order in which they are asked, the stock CEF
parser's ways (it takes a program that begins with CEF, splits at `=` only, makes `dvchost` the
host), and the two rewrite rules.
"""

from __future__ import annotations

FRAME = """
block rewrite r_set_splunk_dest_default(
  index("main") source("") sourcetype("") template("t_hdr_msg") vendor("") product("") class("")) {
  set("`index`" value(".splunk.index"));
  set("`source`" value(".splunk.source"));
  set("`sourcetype`" value(".splunk.sourcetype"));
  set("`template`" value(".splunk.sc4s_template"));
  set("`vendor`" value("fields.sc4s_vendor"));
  set("`product`" value("fields.sc4s_product"));
};
block rewrite r_set_splunk_dest_update_v2(
  index("${.splunk.index}") source("${.splunk.source}") sourcetype("${.splunk.sourcetype}")
  template("${.splunk.sc4s_template}") class("") condition("1" eq "1")) {
  channel {
    if (`condition`) {
      rewrite {
        set("`index`" value(".splunk.index"));
        set("`source`" value(".splunk.source"));
        set("`sourcetype`" value(".splunk.sourcetype"));
        set("`template`" value(".splunk.sc4s_template"));
      };
    };
    flags(final);
  };
};
block parser stock-cef() {
  channel {
    parser {
      csv-parser(prefix(".metadata.cef.") delimiters(chars("|")) flags(greedy)
        template("${MESSAGE}") columns("version", "device_vendor", "device_product",
                                      "device_version", "class", "name", "severity", "ext"));
    };
    parser { kv-parser(prefix(".values.") template("${.metadata.cef.ext}")); };
    rewrite {
      r_set_splunk_dest_default(sourcetype("cef"));
      set("${.values.dvchost}" value("HOST") condition("${.values.dvchost}" ne ""));
    };
    if { parser { app-parser(topic(cef)); }; };
  };
};
application stock-cef[sc4s-syslog] {
  filter { message("CEF:0" type(string) flags(substring)); };
  parser { stock-cef(); };
};
"""
LOG = """
log {{
  source(s);
  if {{ filter {{ match("^<[0-9]{{1,3}}>1 " value("MESSAGE")); }};
        parser {{ syslog-parser(flags(syslog-protocol)); }}; }}
  else {{ parser {{ syslog-parser(); }}; }};
  rewrite {{ r_set_splunk_dest_default(sourcetype("sc4s:fallback")); }};
  if {{ filter {{ program("CEF" type(string) flags(prefix)); }}; parser {{ stock-cef(); }}; }}
  elif {{ parser {{ app-parser(topic(sc4s-syslog)); }}; }}
  else {{ }};
  destination(d);
}};
"""
