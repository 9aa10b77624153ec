#!/usr/bin/env bash
# Records what nft says of some firewalls, each made in a network of its own. As root, with nftables and iptables
# installed: ./record.sh writes NAME.json for each name below. Recorded with nftables 1.0.6 and iptables 1.8.9.
set -euo pipefail
cd "$(dirname "$0")"

rules() {
  case $1 in
  empty) ;;
  debian) # /etc/nftables.conf of a workstation
    nft -f - <<'END'
table inet filter {
  chain input {
    type filter hook input priority 0; policy drop;
    iif lo accept
    ct state established,related accept
    tcp dport 22 accept
  }
  chain forward { type filter hook forward priority 0; policy drop; }
  chain output { type filter hook output priority 0; policy accept; }
}
END
    ;;
  firewalld) # what firewalld makes of the zone "public"
    nft -f - <<'END'
table inet firewalld {
  chain filter_INPUT {
    type filter hook input priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    jump filter_INPUT_ZONES
    reject with icmpx admin-prohibited
  }
  chain filter_INPUT_ZONES { goto filter_IN_public; }
  chain filter_IN_public {
    jump filter_IN_public_allow
    meta l4proto { icmp, ipv6-icmp } accept
  }
  chain filter_IN_public_allow { tcp dport 22 accept; }
  chain filter_PREROUTING {
    type filter hook prerouting priority mangle + 10; policy accept;
    icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
    meta nfproto ipv6 fib saddr . mark . iif oif missing drop;
  }
}
END
    ;;
  fail2ban) # shuts somebody out, and lets everybody else in
    nft -f - <<'END'
table inet f2b-table {
  set addr-set-sshd { type ipv4_addr; elements = { 192.0.2.7 }; }
  chain f2b-chain {
    type filter hook input priority filter - 1; policy accept;
    tcp dport 22 ip saddr @addr-set-sshd reject with icmp port-unreachable
  }
}
END
    ;;
  v4only) # forgets IPv6
    nft -f - <<'END'
table ip filter {
  chain INPUT { type filter hook input priority 0; policy drop; tcp dport 22 accept; }
}
END
    ;;
  ufw) # by iptables-nft
    for f in ip ip6; do
      ${f}tables-nft-restore <<'END'
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:ufw-before-input - [0:0]
-A INPUT -j ufw-before-input
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
END
    done
    ;;
  ipt-reject) # a last rule instead of a policy
    for f in ip ip6; do
      ${f}tables-nft -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
      ${f}tables-nft -A INPUT -p tcp --dport 22 -j ACCEPT
      ${f}tables-nft -A INPUT -j REJECT
    done
    ;;
  docker) # forwards, and leaves what comes in alone
    iptables-nft -P FORWARD DROP
    iptables-nft -t nat -N DOCKER
    iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
    iptables-nft -A INPUT -p tcp --dport 22 -j ACCEPT
    ;;
  esac
}
export -f rules

for name in empty debian firewalld fail2ban v4only ufw ipt-reject docker; do
  unshare --net bash -c "rules $name; nft -j list ruleset" >"$name.json"
done
