"""Two tones of 1,000 Hz, half of full scale, at 16 kHz, in formats that neither libsndfile nor PyAV writes.

Encoded once from our own samples: Monkey's Audio (0.1 s) with JMAC 1.74, AMR-WB (0.5 s) with vo-amrwbenc 0.1.3.
"""

from __future__ import annotations

from base64 import b85decode

MONKEYS_AUDIO = b85decode(
    "O+iB-mJa{`Gynhq7ytkO1ONa4EC2uixC{UQ0000000000Y@`2x2k2E;0iABF{A%mb&<6kj03ZPXKn4H+0RR915C8!HfIa{Kd;kCdQb|TeqznK6S3"
    "y=qW^HsJ5C8xG0RRC2fIa{K0DS-e0ss&IWMOn+fD8Ztk6mYZHYNZ7k&b*fHGAeBw1`rl{z?xs8vrC4oe3k=xmggPsRs+5WTgOb08*@)uOHKM_Y*r"
    "Q%zoUqJ)ihhS~sXbJvB<zvgdOd-p!jeHrd`da6(4};V|lcTQh=;*UIO^Lpx_DzBJMEwT=&%?7v*(>sZHDX7Y|4RR+$*7IniUKOx6oZyg5IoGk`O="
    "B)LR_3r$%X@(E~vOe8l8<zA|+Os~c#oVQKAi&u271|;#MHCIVYySSonZ6GxY_*p<8+fX6#d0<WLo`)o$w>&<-@a7}*(Uc2aP+=xi4+=KM;>S!HY="
    "X$Ku~8px~?F6G_U-KBqE3Bcc`kEwV7-wR<I$vC3uIqj%?%bPyO_I`pk1=vn*-9_~I!|egL0Do@0z`Bl)GWIf>ni((%J?Q>{SwRuB^?C06sLXH=W`"
    "qN>(~Szx|gXMJ*V?3grzc7VTgS^Bc`axpOw43R>3+a`>*uvu((#1L7obG~u4_6U>tDsVAv#d0Rg`L|!I;~PC6aaj(YSNIV~pv%AC3U~F6uYrRP9-"
    "D-lZe&8}>5Mkue}c<2Ohe70I!CO-;A95mDIsdkyZR+Nab@bDvp~v+`;PJju)q-f1dJvOEGmSG3b%}^3^@JlJy#9cV~0wEBs=Vl`7%-&A8owM=4Be"
    "=BIxir$etelIW2!*Yj<R^+egL8W~JV<nT^bAF&-B{V|is7Kl}`-DG|(&e%v90fj_aZA;H*~flUF$5<EPeY%%D9=^|8MdBg$H8--4g!TAzrRyfNvF"
    "hW%`hmB*yp#WW^rl=sn@8Fc%l74FtZFvESgoTB>u_~&SSCm@`@csdB%3bSvrBVXwEE*%KS<hV;D?XskmNq#Gju1?$5;Ce>LK4FJo9^t$&T>>rO~E"
    "1h8^mf5!>|B9P2@UcF;om+EiwOou@Mr+x9d{Tl<FE#*zA9se|~~SYg{QOn&KNScco{<K!p-TVI!Ol0+^ofxe~VA31Tlfrm7|M4ayaj%Dz3O4=t(R"
    "%io?TV5lA>;<5>uK|C>pUg5ymd->}@+^MiUiTUsG49-DY3GnVSqx`jfbT0Vh>ct@r!PM}_{Q69Vm_W|MPrSz_D7#5wB15e>Y{mt1>n$wHaGRRzdG"
    "&IfL~@8d1EYtY%;Rl(%(n6+ZjGC}x($4<^6hy8R=Vuv+JW-L`e5`FX=k@oQNTU*!oSUwAoMf}rU_sBW@R!oQ_Kfe<TFI5sjJ;p;Q?Hr`nRmcG_4W"
    "KWGX6F<3HBcy9Gf`H)%4)8O5H=d|qwll*xTgzU84-;ZU7^yh1%Ci5%-(#5{CgsrA(*Ty(cD0U;=WG9twzT7V{fGDv8T!27Gb1jAp6O?tPEm&R}Uj"
    "KHJOR}Upd;-qI8FG;+;+2b@?kr(Le0)E5L4^7&g>?Xx`Xa4r(b#ldEmxv~xk)C9{Q~f(U0eXE9)Y@L<T2S}_QG5xl@v+o)Hqn`A&UXLJQS?y#uwI"
    "x(mrx9fxQZ6tiliWGegdBYqKxTYp9~#>&wt+M(*0PVQ^HTAc5H6IG;)+REVe(SOeiv3jn{kG)+~<6Yf7z7i@+eSPL%c-Res<G<n8mN>?4^}7{=qA"
    "Y#We&wPVXw=u3Tgr*sNngmUfq322|#PAZ>f;iN%D6f)Lvr!q)yBH^8dRS#tD^4!8Ey-$ieHKlvCM<nzC@<RbOmV6u8GhkOE6cD-b1}P)<<wVP1cz"
    "}VaBOipnq!3uk@Pc+5oqCCN-#*@dYFbkUCuzFkSWl^yj~cEimSKj|$r<4_G0U6PYhm!S#kSIQbnnne%bqu;j+?QjJ%hrCiGCPNRt|VaM3kEm8+ID"
    "PEWru<<+FuZ<~XQ|2K6ibe@Cy2ea!n6jgCx!EeaS-KuV|@-%q(Q8JAS<P+?;mfX{jFOEFvaw<UaPZ4nZjzq;QZI@1eo8;UdgBj8)mhKR!*C<QPa&"
    "X-oQQ*G67uV~BQiQJ1U#<aT_5(uMm_BM%T=I_IM?cgylA5o1*JLAxz6EmLx?0HHfa69b^#B^ed28;tH)#NOhBZqfZvc>9Mi35Henk#edcmTK~;dy"
    "OAWx2T;8aHNLqTW>@R)HjJ4^?%_1mi~}19vWl15hTCd9`5A%nxh*6D%ODDx&Kmw?i>F)8Qy3G?mj-=o!UsqHPlo&|#F&k3&a?x|PeYcvbIy6p={n"
    "b*&~6<(UjfW3-oR6C|H2ZZ&`7uPYCxyiUm?IVpDF+0kcPTt}lQJuC1)KpT}igk=J$`Jx%uK&Ul*!T3SgWw!d(0IckIo^)6`31EU_cyJZXH2z6CBr"
    "5dLeR$a!s6GhD>?YYm1H19q7Wk>wMy4QqslfRIfa^|w>Lr9}<{Lb{rEpwLQ=1^c@zXTagbDzA9^qq8VL4|fcwt_sX?0SS=hcjj+ljSD3WkwKnA*b"
    "34%Jyy-5-pz^?eS^8u3r6BXYRHb&n=kjCzskW)RU0T<%Gv!b%><i0wt%pN_A~U+Ygyj$3-~*6@t|5FloVQ<I-F*mU7FHGiU5VMR+1kL`-HMXj+k7"
    ">4^)x}JHv02f7I@fTY02`k66%_H|2S1JNw>x`OnBV5`U*H(9`Ck53Bef(lZ)7v&3u#K%iF73LoLlJWP>`h&tI}CTypBO4S_()^LWCGX!D0rk+ZgB"
    "*Ou%3E`rmEpcWjswZ@O$DIdV;)@7UfitXbfnp%54x*^NdG|nnW+XJvRnZ2RPK{s($83!vj}n(ZrnxtGQ+VI84NzV=n-W^9mNFrToY(yfNr`kHt;J"
    "bLcr4*9le#==UMT+$GQEuCS}p&tO)yt8oVbG^mQ1MW2su%0IBiLAObOZwN`4u99YPPVh=gw~s3&++**l<wcP4nx?j&cZ<p~?@pZHpUzARq<E-;%L"
    "I+5b$WAi#Hx!^yY?2`Q2teCIuI3b%G1ZjJS1VZ`-AZ4p>FlJ$9utD;w|^Ff7p7Y@TZ&+3NJZ$&XIoT)KKkv1MMeD2slUdMSHv=!!;+??yur_{<A>"
    ")dH_$>7R78(cUBfl-X}5=ICH|z0EX2)8=E1p8CrPTea~|Y#GP2s7&=|6OaJ_Eup2y)*3#FJa;6|!y-Y_{7H@AOMw9jnX*%^xEN<ZT&t)(_4K6{&`"
    "S2-fs5RX%?1sr)o7|9ISn`B#F)#cO4(wLUCp&DFB(QU^l2JRT$uulhT%h@E@E@gzZDBL?3Fe5njl`=@n4P?}qa1x<W+K)%o?+$e-o-UM19PPgG@w"
    "OuI#pR5u>~E|I{UscO0cn{U(l~t-Ik!O*-HZcb9MIH#l!JSrveVrU9IRc26`Eb$;ok{BW9`%#B^>9vVk$|FC~Gz=33n3%+-Gn2B}BWyLh~t$A1&a"
    "kg(_wn}3o2ByfmKZK)?~-_7UP<V&yw^jd_|sS$-q-W{)tDc}Gw4>_|6Q&&8+IhBn4(n(aPJ`IH)iB}XhNZvmAKIrz&M>p%~!yS-aPi|N6Dvk9GyJ"
    "!E$VGXLe$6{@d;o0JHMXD&wIBYEUlrhjJG*ojNjog{l)HW8p9-SVvtpE<-<IlVJmUH$t#xnF}EGvbB<JSHku;&t<GWA+>;lK5Xg`LU(xh0*_XPvD"
    "Tn}Ms~ehFi;Hdky_#)!8faSM3S)-@($F1=SV<5fbR-s1=fBGymGi_v;v&OUs3*#$$)s`-O*Bv$Y{EW!K&cjt;Wx;nK|`kqNxxcPTeI{bZsrmGv<1"
    "6$n?EbX0ssd^xOdMhZkntw4Bk^sGZ&>ys<zSCztUjaaUJhRuk^5Vl2p}H*vshNn_@}O12zdu9t9dgLwnXfPdxGPO!nf%C+tUr5#u1*LvjTka5n4G"
    "6V6i~58DET>UN}0`sMMg0=CN}C4(X5zMUEI!#$%XBj+|?1cr1QQRkn-^&3N(|kw$aEzrmap0TYHF<hIVioiW(pk!n+Se=9R(hto;P1JlyYWp9!`O"
    "cB0X{8Qkr8M`;sD|0-D+u^6*)5};fsCDPCv!n)HNN|^<(3zd)6106}c5780}d!TaFs|@DgM5y$9Ji`m}Hf*{LfP99QiWqPBxE56vb#@-9GvC)JVE"
    "@5W_in7iU?kYR*RXLr$^Q!-_MyaKrt-PmKxO_*yxJ9)n(CRw8fVDVOcV$kUJ;B?I2Q%QP0+?Aa}M}B@J(W1REA)+QghoSZv!NySwp^}qdERRg}Y("
    "5W-rik^VA~Xe=H~3dLvPBU)^bBpK54eaCX20(b3yi>_Q+Q){jEghyCcf`lX${hB0pAg&%Qk0001^00000"
)

AMR_WB = b85decode(
    "BOyUeQY}|P3KaJSbE5U1lA@qECpHyxyurs&PF%&p{M?q*F8owoEkG3WI(ll}w~&&E04Fc*#sg?=5T0xidb;7AWUHi<oW-aV{|<lg|ND@#2rwst4+"
    "mZnL-P!?;5aaopergM8>|*k6#ot%b9>XEvIrnAE`x+t*`>?e<A%dAg21TkV0qCYz!d)ue=h99kg^CcCxQ<QrD?B)0($5FzyT=zyTus&fB+Q#4j;V"
    "QN1(C@Ag3mihClI&hnDD}#rp{;_6PSa#|H=${|<Lpj-!yW2rwstFMQhzM~wnovMg*;=#j52)ElM96#ot$p&3V@vIrojCX@MdLQ%e7DjQrh+Oftsl"
    "6nhc7!>~k6brNM;IarXzmgAq9zj-v1WLnh6&5xSf`XFwjR+L~0vrP~&ET>KAh$M?|I0)kJbOjEH8B|xI!O4jA{6ix{{j^Xqv_zX2r)m34}5+=7&Q"
    "YFJ3%~q%*cz3Wrx%-6#oJiDU)U3vIrozHk15Z^<ArmjBTY+8G_FbAvTdoxD@{a6$+#2;IarYKZ*~2zD+QF0vQP!K8VoUDR6JzQwS9Q0v1V<<>0ai"
    "Ah$M?{txvU_*2J^WT5*Xu5${Mqk#An{{j^Xqv_zX2r)m34|wm0F<b$n=UNa&>=OyTkQ9Fy6#oJh8l$P;vIrozHk1AYzzVf2LcTc})&ZqQgS9Cuco"
    "hEv6)K}?;IarYKZ*}{y8|(#1)zz^i>1X#v{s)FStu0$0vA|<q2RIzAh$M?|4V&;|Cf|I*C-X?icYKmgHXs6{{j_SqN(7r2r)m34}HTd1v(Luo|gp"
    "F!hl;($l-YS6#oJpk|BxUvIrozHk15Gyeppmhf^uQ5ok@G>R?O2h!p<<6&j<d;IarYKZ*~0&3yqupj#N%HW0@KA8JmpUyv040v~V!0pPL-Ah$M?{"
    "tNEGeR?0A{%J952?Qt(j2ze${{j>%qb=aF2r)m34|uO30Xzy};lT@x>{6LjhKK&36#oJo12fIwvIrozHk17HEt?J;hMTopW0FG>NnpfT2o(PU7O9"
    "bC;IarYzk&~a$jzN#!vYx5erU?UVO!sBg6I"
)
