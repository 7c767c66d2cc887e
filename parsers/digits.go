package parsers

import "strings"

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// digits2 reports whether s, which is that long, starts with two digits.
func digits2(s string) bool { return isDigit(s[0]) && isDigit(s[1]) }

// num2 reads the two digits that s starts with.
func num2(s string) int { return int(s[0]-'0')*10 + int(s[1]-'0') }

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

// smallNumber reads the number that starts at i and returns where it ends: at i
// if there is none. It stops behind the digit that makes it exceed 65,535.
func smallNumber(s string, i int) (n, end int) {
	for ; i < len(s) && isDigit(s[i]) && n < 1<<16; i++ {
		n = n*10 + int(s[i]-'0')
	}
	return n, i
}

// cutPort cuts ":port" off the head of s; the port is 0 where there is none.
func cutPort(s string) (port int, rest string) {
	if strings.HasPrefix(s, ":") {
		if n, end := smallNumber(s, 1); end > 1 && n < 1<<16 {
			return n, s[end:]
		}
	}
	return 0, s
}
